import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { Rows } from '../../api-types.ts'
import {
  firstSearch,
  furtherSearch,
  onAnswer,
  onFailure,
  onStop,
  pageRows,
  searchAgain,
  shownRows,
  type RowsSearch,
} from './route.ts'

const answer = (count: number, next: number | null, isComplete = true): Rows<number> => {
  return { rows: Array.from({ length: count }, (_, index) => index), next, isComplete }
}
const failure = { code: 'X', message: '', hint: '' }

/** Answers until it rests; how many answers that took. */
function answered(answers: Rows<number>): { search: RowsSearch<number>; count: number } {
  let search = firstSearch<number>()
  let count = 0
  for (; search.type === 'asking'; count++) search = onAnswer(search, answers, 5)
  return { search, count }
}

test('a page that is complete rests, with where older rows begin', () => {
  const search = onAnswer(firstSearch<number>(), answer(50, 7), 5)
  equal(search.type === 'resting' && search.next, 7)
  const further = furtherSearch(search)
  equal(further.type === 'asking' && further.before, 7)
  const end = onAnswer(further, answer(3, null), 6)
  equal(end.rows.length, 53)
  equal(furtherSearch(end), end, 'there is no more')
})

test('a scan that ran out of time goes on by itself, until a page is full', () => {
  const first = onAnswer(firstSearch<number>(), answer(0, 900, false), 5)
  deepEqual([first.type, first.type === 'asking' && first.before], ['asking', 900])
  const { search, count } = answered(answer(10, 800, false))
  deepEqual([search.rows.length, count], [pageRows, 5])
  equal(search.type === 'resting' && search.isFull, true)
})

test('a scan that finds nothing rests after a while, and can be asked to go on', () => {
  const { search, count } = answered(answer(0, 800, false))
  equal(count, 30)
  equal(search.type === 'resting' && search.isFull, false)
  equal(furtherSearch(search).type, 'asking')
})

test('a scan that came to the end rests', () => {
  const search = onAnswer(firstSearch<number>(), answer(0, null, false), 5)
  equal(search.type === 'resting' && search.next, null)
})

test('after a stop or a failure it goes on where it was', () => {
  const asking = onAnswer(firstSearch<number>(), answer(2, 900, false), 5)
  for (const search of [onStop(asking, 6), onFailure(asking, failure)]) {
    equal(search.rows.length, 2)
    const further = furtherSearch(search)
    equal(further.type === 'asking' && further.before, 900)
  }
})

test('a failure of the first request is asked again from the beginning', () => {
  const further = furtherSearch(onFailure(firstSearch<number>(), failure))
  equal(further.type === 'asking' && further.before, null)
})

test('what comes after a stop is not taken', () => {
  const stopped = onStop(firstSearch<number>(), 6)
  equal(onAnswer(stopped, answer(3, null), 7), stopped)
  equal(onFailure(stopped, failure), stopped)
})

test('while it is read again, the last reading is there to be looked at', () => {
  const rest = onAnswer(firstSearch<number>(), answer(2, null), 5)
  const again = searchAgain(rest)
  deepEqual([again.type, shownRows(again).length], ['asking', 2])
  equal(searchAgain(again), again, 'one request is enough')
  deepEqual(shownRows(onAnswer(again, answer(0, 900, false), 5)), [])
})
