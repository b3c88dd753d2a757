import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseStat, threadsOf, threadTimes, timesBetween } from './thread-times.ts'

const tail = '1 1 1 0 -1 4194560 5799 0 0 0 23 8 0 0 20 0 10 0'

test('user and kernel time are found behind any name', () => {
  for (const name of ['MainThread', 'tinymq store', 'a) b (c', '']) {
    deepEqual(parseStat(`6939 (${name}) S ${tail}`), { name, userUs: 230_000, systemUs: 80_000 })
  }
})

test('what a thread used before the first look does not count, what a new one used does', () => {
  const before = new Map([['old', { userUs: 20_000, systemUs: 10_000 }]])
  const after = new Map([
    ['old', { userUs: 50_000, systemUs: 10_000 }],
    ['new', { userUs: 10_000, systemUs: 0 }],
  ])
  deepEqual(
    timesBetween(before, after),
    new Map([
      ['old', { userUs: 30_000, systemUs: 0 }],
      ['new', { userUs: 10_000, systemUs: 0 }],
    ]),
  )
})

test('the threads of a living process are listed, its first one among them', () => {
  ok(threadsOf(process.pid).some(({ id }) => id === process.pid))
  ok(threadTimes(process.pid).size > 0)
})
