/** The check that most process tests rest on must find each kind of harm. */
import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { range, TotalQueue } from './numbered.ts'

function problems(...texts: string[]): string[] {
  const queue = new TotalQueue({ a: 3, b: [2, 5] })
  for (const text of texts) queue.receive(`${text}:xxx`)
  return queue.problems()
}

test('a total queue is content when each message is there once, in the order of its sender', () => {
  deepEqual(problems('a:1', 'b:2', 'a:2', 'a:3', 'b:5'), [])
})

test('a total queue names what is missing, doubled, out of order and unheard of', () => {
  deepEqual(problems('a:1', 'a:3', 'b:2', 'b:5'), ['missing: a:2'])
  deepEqual(problems('a:1', 'a:2', 'a:2', 'a:3', 'b:2', 'b:5'), ['doubled: a:2'])
  deepEqual(problems('a:1', 'a:3', 'a:2', 'b:2', 'b:5'), ['out of order: a:2 after 3'])
  deepEqual(problems('a:1', 'a:2', 'a:3', 'a:4', 'b:2', 'c:1', 'b:5', 'nonsense'), [
    'unheard of: a:4:xxx',
    'unheard of: c:1:xxx',
    'unheard of: nonsense:xxx',
  ])
})

test('a range holds both its ends', () => {
  deepEqual(range(2, 4), [2, 3, 4])
})
