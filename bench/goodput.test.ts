import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { messageLatenciesMs } from './goodput.ts'
import { quantile } from './distribution.ts'

test('of lone messages at 30 % loss 99 of 100 need no more than two probe timeouts', () => {
  // Half a round trip on the wire; 106 ms and 1.5 times as much until the second pair of probes.
  const arithmeticMs = 50 + 106 + 159
  const p99 = quantile(messageLatenciesMs(0.3, 600, 1), 0.99)
  ok(p99 <= 1.02 * arithmeticMs, `p99 is ${p99} ms, arithmetic says ${arithmeticMs} ms`)
})
