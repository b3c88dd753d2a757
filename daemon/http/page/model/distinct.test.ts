import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { distinct } from './text.ts'

test('a name that was there before is distinguished, and the first keeps its own', () => {
  deepEqual(distinct(['a', 'b', 'a', 'a']), ['a', 'b', 'a #1', 'a #2'])
  deepEqual(distinct([]), [])
})
