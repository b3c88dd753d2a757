/** The check of a chaos run must find each kind of harm. */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { labelOf, Ledger, textOf } from './expected-state.ts'

const batch = { sender: 'a', to: 'b', first: 1, last: 3 }

function ledgerWith(...arrivals: readonly (readonly [at: string, number: number])[]): Ledger {
  const ledger = new Ledger()
  ledger.tries(batch)
  ledger.committed(batch)
  for (const [at, number] of arrivals) arrive(ledger, at, number)
  return ledger
}

function arrive(ledger: Ledger, at: string, number: number): void {
  ledger.onArrived(at, textOf({ sender: 'a', number, bytes: 20 }), true)
}

test('a ledger is content when every message came once, in order, to where it was sent', () => {
  deepEqual(ledgerWith(['b', 1], ['b', 2], ['b', 3]).verdict(), [])
})

test('a ledger names what is lost, duplicated, out of order, astray, unheard of or damaged', () => {
  deepEqual(ledgerWith(['b', 1], ['b', 3]).verdict(), ['lost: a:2 for b'])
  deepEqual(ledgerWith(['b', 1], ['b', 2], ['b', 1], ['b', 3]).verdict(), [
    'duplicated: a:1 at b and at b',
  ])
  deepEqual(ledgerWith(['b', 2], ['b', 1], ['b', 3]).verdict(), ['out of order at b: a:1 after 2'])
  deepEqual(ledgerWith(['b', 1], ['c', 2], ['b', 3]).verdict(), ['sent to b, came to c: a:2'])
  deepEqual(ledgerWith(['b', 1], ['b', 2], ['b', 3], ['b', 4]).verdict(), ['unheard of at b: a:4'])
  const damaged = ledgerWith(['b', 1], ['b', 2])
  damaged.onArrived('b', 'a:3:20:x', false)
  deepEqual(damaged.verdict(), ['damaged at b: a:3:20:x'])
})

test('a row that was deleted before it had a number must not come, one in flight may', () => {
  const ledger = ledgerWith()
  ledger.onDeleted('a:1:20:', false)
  ledger.onDeleted('a:2:20:', true)
  arrive(ledger, 'b', 2)
  arrive(ledger, 'b', 3)
  deepEqual(ledger.verdict(), [])
  arrive(ledger, 'b', 1)
  deepEqual(ledger.verdict(), ['taken back, and came to b: a:1'])
})

test('a row that was sent elsewhere comes there, and behind what overtook it', () => {
  const ledger = ledgerWith(['b', 2], ['b', 3])
  ledger.onMoved('a:1:20:', 'c')
  deepEqual(ledger.verdict(), ['lost: a:1 for c'])
  arrive(ledger, 'c', 1)
  deepEqual(ledger.verdict(), [])
  ledger.onMoved('a:1:20:', 'b')
  deepEqual(ledger.verdict(), ['sent to b, came to c: a:1'])
})

test('the rows of somebody who was killed come all or not at all', () => {
  const ledger = new Ledger()
  ledger.tries(batch)
  deepEqual(ledger.verdict(), [])
  arrive(ledger, 'b', 2)
  deepEqual(ledger.verdict(), ['lost: a:1 for b', 'lost: a:3 for b'])
})

test('what was rolled back must not come', () => {
  const ledger = new Ledger()
  ledger.tries(batch)
  ledger.rolledBack(batch)
  arrive(ledger, 'b', 1)
  deepEqual(ledger.verdict(), ['taken back, and came to b: a:1'])
})

test('the text of a message says which it is and how long it must be', () => {
  const label = { sender: 'a', number: 7, bytes: 30 }
  deepEqual(labelOf(textOf(label)), label)
  equal(textOf(label).length, 30)
  equal(labelOf('nonsense'), undefined)
})
