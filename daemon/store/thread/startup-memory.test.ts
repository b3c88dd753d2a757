import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { getHeapStatistics } from 'node:v8'
import { trimMemory } from './startup-memory.ts'

test('room that is needed no more is given back to the system', () => {
  trimMemory()
  const before = getHeapStatistics()
  let garbage: unknown[] = Array.from({ length: 500_000 }, (_, index) => ({ index }))
  const full = getHeapStatistics()
  ok(full.total_physical_size > before.total_physical_size + 10_000_000)
  garbage = []
  trimMemory()
  const after = getHeapStatistics()
  ok(after.total_physical_size < full.total_physical_size - 10_000_000, String(garbage.length))
})
