import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as always, nat, option, property, tuple } from 'fast-check'
import { TimerQueue, earliest } from './timer-queue.ts'

test('whoever is due comes out, the earliest first, as from a sorted list', () => {
  const changes = array(tuple(nat(15), option(nat(50), { nil: undefined })), { maxLength: 60 })
  always(
    property(changes, nat(60), (list, nowUs) => {
      const deadlines = new TimerQueue<number>()
      const naive = new Map<number, number>()
      for (const [owner, atUs] of list) {
        deadlines.set(owner, atUs)
        if (atUs === undefined) naive.delete(owner)
        else naive.set(owner, atUs)
        deepStrictEqual(deadlines.earliestUs(), earliest(...naive.values()))
      }
      const due = [...naive].filter(([, atUs]) => atUs <= nowUs)
      const expected = due.map(([, atUs]) => atUs).toSorted((one, other) => one - other)
      const taken = expected.map(() => deadlines.takeDue(nowUs) ?? -1)
      deepStrictEqual(
        taken.map((owner) => naive.get(owner)),
        expected,
      )
      deepStrictEqual(new Set(taken).size, taken.length)
      deepStrictEqual(deadlines.takeDue(nowUs), undefined)
      const left = [...naive].filter(([, atUs]) => atUs > nowUs)
      deepStrictEqual(deadlines.earliestUs(), earliest(...left.map(([, atUs]) => atUs)))
    }),
  )
})

test('who is taken out has no deadline any more, and may have another', () => {
  const deadlines = new TimerQueue<string>()
  deadlines.set('a', 5)
  deepStrictEqual(deadlines.takeDue(4), undefined)
  deepStrictEqual(deadlines.takeDue(5), 'a')
  deepStrictEqual(deadlines.earliestUs(), undefined)
  deadlines.set('a', 9)
  deepStrictEqual(deadlines.earliestUs(), 9)
})

test('the earliest of none is none', () => {
  deepStrictEqual(earliest(), undefined)
  deepStrictEqual(earliest(undefined, undefined), undefined)
  deepStrictEqual(earliest(undefined, 3, 2, undefined), 2)
})
