import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { reported } from './text.ts'

test('each step has the time since the last one whose time is known', () => {
  const story = [
    { at: null, what: 'a' },
    { at: 1_000, what: 'b' },
    { at: null, what: 'c' },
    { at: 1_500, what: 'd' },
  ]
  deepEqual(
    reported(story).map(({ tookMs }) => tookMs),
    [null, null, null, 500],
  )
})
