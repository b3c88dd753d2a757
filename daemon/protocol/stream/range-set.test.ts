import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as always, constantFrom, nat, property, tuple } from 'fast-check'
import { RangeSet } from './range-set.ts'

const space = 60

type Change = readonly [how: 'add' | 'remove', start: number, length: number]

const changes = array(tuple(constantFrom('add', 'remove'), nat(space - 1), nat(20)))

function changed(list: readonly Change[]): { ranges: RangeSet; naive: Set<number> } {
  const ranges = new RangeSet()
  const naive = new Set<number>()
  for (const [how, start, length] of list) {
    const end = Math.min(space, start + 1 + length)
    if (how === 'add') ranges.add(start, end)
    else ranges.remove(start, end)
    for (let offset = start; offset < end; offset++) {
      if (how === 'add') naive.add(offset)
      else naive.delete(offset)
    }
  }
  return { ranges, naive }
}

function members(ranges: RangeSet): number[] {
  const gaps = ranges.gaps(0, space)
  return Array.from({ length: space }, (_, offset) => offset).filter(
    (offset) => !gaps.some(({ start, end }) => start <= offset && offset < end),
  )
}

/** How many stretches of neighbours there are. */
function stretches(naive: ReadonlySet<number>): number {
  return [...naive].filter((offset) => !naive.has(offset - 1)).length
}

test('after any changes it has the members of a naive set, in as few ranges as can be', () => {
  always(
    property(changes, (list) => {
      const { ranges, naive } = changed(list)
      const sorted = [...naive].toSorted((one, other) => one - other)
      deepStrictEqual(members(ranges), sorted)
      deepStrictEqual(ranges.size, stretches(naive))
      deepStrictEqual(ranges.first()?.start, sorted[0])
    }),
  )
})

test('the gaps of any stretch are what is missing there, in order', () => {
  always(
    property(changes, nat(space), nat(space), (list, one, other) => {
      const { ranges, naive } = changed(list)
      const [start, end] = [Math.min(one, other), Math.max(one, other)]
      const gaps = ranges.gaps(start, end)
      const missing = Array.from({ length: end - start }, (_, index) => start + index)
      deepStrictEqual(
        gaps.flatMap((gap) => missing.filter((n) => gap.start <= n && n < gap.end)),
        missing.filter((offset) => !naive.has(offset)),
      )
    }),
  )
})

test('nothing is not a range', () => {
  const ranges = new RangeSet()
  throws(() => ranges.add(3, 3), { name: 'AssertionFailure' })
})

test('it works up to the largest offset that there is', () => {
  const ranges = new RangeSet()
  const end = Number.MAX_SAFE_INTEGER
  ranges.add(end - 10, end)
  ranges.remove(end - 5, end - 4)
  deepStrictEqual(ranges.gaps(end - 12, end), [
    { start: end - 12, end: end - 10 },
    { start: end - 5, end: end - 4 },
  ])
})
