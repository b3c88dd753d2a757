import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { anOverview } from '../../../../test/support/overview-fixture.ts'
import { daemonNowMs, firstState, nextState, type Fact, type PageState } from './connection.ts'

const failure = { code: 'UNREACHABLE', message: 'No answer.', hint: 'Look.' }

function after(...facts: readonly Fact[]): PageState {
  return facts.reduce((state, fact) => nextState(state, fact), firstState(1_000))
}

const heard = (nowMs: number, at = 50_000 + nowMs): Fact => {
  return { type: 'heard', overview: anOverview({ at }), nowMs }
}

test('what was heard last is kept while nothing is heard, and since when is reported', () => {
  const state = after(heard(2_000), { type: 'failed', failure }, { type: 'failed', failure })
  equal(state.link.type, 'lost')
  equal(state.link.type === 'lost' && state.link.sinceMs, 2_000)
  equal(state.overview?.at, 52_000)
})

test('before anything was heard, it is since the page was opened', () => {
  const { link } = after({ type: 'failed', failure })
  equal(link.type === 'lost' && link.sinceMs, 1_000)
})

test("ages follow the daemon's clock, and do not move while nothing is heard", () => {
  equal(daemonNowMs(after(heard(2_000)), 2_700), 52_700)
  equal(daemonNowMs(after(heard(2_000), { type: 'failed', failure }), 90_000), 52_000)
  equal(daemonNowMs(after(heard(2_000)), 1_000), 52_000, 'the clock of the browser was set back')
})

test('a gap is counted after a failure and after a silence, not from second to second', () => {
  equal(after(heard(2_000), heard(3_000), heard(4_000)).gaps, 0)
  equal(after(heard(2_000), { type: 'failed', failure }, heard(3_000)).gaps, 1)
  equal(after(heard(2_000), heard(60_000)).gaps, 1)
})
