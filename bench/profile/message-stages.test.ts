import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { parseMarks, stagesOf, type Mark } from './message-stages.ts'

/** A message's steps, a millisecond each from `fromMs` on, with notes that belong to none. */
function notesFrom(fromMs: number): Mark[] {
  const sender = ['store runs', 'begins', 'commits', 'has committed', 'has rows', 'sends']
  const receiver = ['has datagram', 'store runs', 'begins', 'commits', 'has committed']
  const lines = (steps: readonly string[], afterMs: number): string =>
    steps.map((step, index) => `${(fromMs + afterMs + index) * 1e6} ${step}\n`).join('')
  return [...parseMarks(lines(sender, 0), 'sender'), ...parseMarks(lines(receiver, 6), 'receiver')]
}

test('the stages of messages are distinguished, and their medians taken', () => {
  const marks = [...notesFrom(100), ...notesFrom(200)]
  const stages = stagesOf(marks, [
    { committedNs: 99e6, seenNs: 110.5e6 },
    { committedNs: 199e6, seenNs: 210.5e6 },
  ])
  deepStrictEqual(
    stages.map(({ medianMs }) => medianMs),
    [2, 1, 1, 1, 1, 1, 1, 2, 1, 0.5, 11.5],
  )
})

test('a reader may see the row before the commit returns', () => {
  const stages = stagesOf(notesFrom(100), [{ committedNs: 99e6, seenNs: 109.8e6 }])
  deepStrictEqual(stages.at(-2)?.medianMs, 0)
})

test('a message with a missing note does not count, and without any nothing is reported', () => {
  const marks = notesFrom(100)
  const passage = { committedNs: 99e6, seenNs: 110.5e6 }
  throws(() => stagesOf(marks.slice(0, -1), [passage]), /no message/)
  throws(() => stagesOf(marks, [{ committedNs: 300e6, seenNs: 310e6 }]), /no message/)
  throws(() => stagesOf(marks, [{ committedNs: 99e6, seenNs: 100e6 }]), /no message/)
})
