import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { turnFaults } from './turn-faults.ts'

const turn = ['read before', 'BEGIN IMMEDIATE', 'first', 'second', 'third', 'COMMIT', 'read after']

/** What fails at each statement of many turns; a turn ends with its fault. */
function drawn(part: number): { readonly at: Map<string, Set<string>>; readonly failed: number } {
  const faultAt = turnFaults(new SeededRandom(1), part)
  const at = new Map(turn.map((sql) => [sql, new Set<string>()]))
  let failed = 0
  for (let turns = 0; turns < 3_000; turns++) {
    for (const [index, sql] of turn.entries()) {
      const fault = faultAt(sql, index)
      if (fault === undefined) continue
      at.get(sql)?.add(fault.rollsBack ? `${fault.code}, rolled back` : fault.code)
      failed++
      break
    }
  }
  return { at, failed }
}

test('every statement of a turn fails in the ways in which SQLite lets it fail', () => {
  const { at, failed } = drawn(0.5)
  const sorted = turn.map((sql) => [sql, Array.from(at.get(sql) ?? []).toSorted()])
  const inside = ['SQLITE_FULL, rolled back', 'SQLITE_NOMEM']
  deepEqual(sorted, [
    ['read before', ['SQLITE_NOMEM']],
    ['BEGIN IMMEDIATE', ['SQLITE_BUSY', ...inside]],
    ['first', inside],
    ['second', inside],
    ['third', inside],
    ['COMMIT', ['SQLITE_FULL, rolled back']],
    ['read after', ['SQLITE_NOMEM']],
  ])
  ok(failed > 1_400 && failed < 1_700, `half of the turns fail, and ${failed} of 3000 did`)
})

test('no statement fails when no part of the transactions does', () => {
  deepEqual(drawn(0).failed, 0)
})
