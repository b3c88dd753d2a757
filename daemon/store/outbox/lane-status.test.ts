/** The fault of a lane that flaps: a session that opens is no end of it, what is confirmed is. */
import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { LaneStatus } from '../../protocol/store-messages.ts'
import { linkOf, pairOf } from '../../../test/simulator/store/pair.ts'
import { insert } from '../../../test/simulator/store/world.ts'

const full: LaneStatus = {
  type: 'waiting',
  code: 'TINYMQ_PEER_STORE',
  reason: 'full',
  retryInUs: 2_000_000,
}

test('a lane keeps its fault while sessions open and end, until a row is confirmed', (t) => {
  const pair = pairOf(t)
  const { sender } = pair
  insert(sender, 'b', 'one')
  const link = linkOf(pair)
  const { lane } = link.lane
  const say = (status: LaneStatus): unknown => {
    sender.nowMs += 1_000
    sender.run({ type: 'lane-status', lane, status })
    return sender.all('SELECT state, error_code, error FROM mqlane')[0]
  }
  const fault = { error_code: full.code, error: 'full' }
  for (let flaps = 0; flaps < 4; flaps++) {
    deepEqual(say(full), { state: 'waiting', ...fault })
    deepEqual(say({ type: 'connecting' }), { state: 'connecting', ...fault })
    deepEqual(say({ type: 'open', rttUs: 1 }), { state: 'open', ...fault })
  }
  deepEqual(sender.all('SELECT code, reason FROM mqstuck'), [{ code: full.code, reason: 'full' }])
  link.settle()
  const [row] = sender.all('SELECT state, error_code, error FROM mqlane')
  deepEqual(row, { state: 'open', error_code: null, error: null })
})

test('a session that lasts is well, though nothing was confirmed yet', (t) => {
  const pair = pairOf(t)
  const { sender } = pair
  insert(sender, 'b', 'one')
  const { lane } = linkOf(pair).lane
  sender.run({ type: 'lane-status', lane, status: full })
  sender.run({ type: 'lane-status', lane, status: { type: 'open', rttUs: 1 } })
  sender.nowMs += 14_000
  sender.run({ type: 'scan' })
  deepEqual(sender.all('SELECT error_code FROM mqlane'), [{ error_code: full.code }])
  sender.nowMs += 2_000
  sender.run({ type: 'scan' })
  deepEqual(sender.all('SELECT error_code FROM mqlane'), [{ error_code: null }])
})
