import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { afterClose, brokenRule, lostStore, missingKey } from './close-policy.ts'
import { type CloseCode, closeCode } from '../codec/frame.ts'
import { brokenPauseUs, reopenPauseUs, retryAfterMaxUs, supersededPauseUs } from '../constants.ts'

function closed(code: CloseCode, retryAfterMs = 0, reason = ''): ReturnType<typeof afterClose> {
  return afterClose({ type: 'close', code, sequence: 0, retryAfterMs, reason })
}

test('every code has its least pause, and a longer one is granted up to an hour', () => {
  const least: Partial<Record<CloseCode, number>> = {
    [closeCode.superseded]: supersededPauseUs,
    [closeCode.protocol]: brokenPauseUs,
  }
  for (const code of Object.values(closeCode)) {
    deepStrictEqual(closed(code).pauseUs, least[code] ?? reopenPauseUs)
    deepStrictEqual(closed(code, 60_000).pauseUs, 60_000_000)
    deepStrictEqual(closed(code, Number.MAX_SAFE_INTEGER).pauseUs, retryAfterMaxUs)
  }
})

test('what heals by itself is not reported; what people can fix is, in the peer’s words', () => {
  const silent = [closeCode.done, closeCode.stopping, closeCode.damaged]
  for (const code of silent) deepStrictEqual(closed(code).trouble, undefined)
  const { trouble } = closed(closeCode.closed, 0, 'no rows from here')
  deepStrictEqual(trouble, {
    code: 'TINYMQ_INBOX_CLOSED',
    reason: 'the peer takes nothing from this node: no rows from here',
  })
})

test('each trouble has a code of its own, and a sentence', () => {
  const codes = [1, 3, 5, 6, 7] as const
  const troubles = [
    ...codes.map((code) => closed(code)),
    brokenRule('it lied'),
    missingKey('k'),
    lostStore('the disk is full', 0),
  ].map(({ trouble }) => trouble)
  ok(troubles.every((trouble) => (trouble?.reason.length ?? 0) > 10))
  // Whoever broke the rule: it is one trouble.
  deepStrictEqual(new Set(troubles.map((trouble) => trouble?.code)).size, troubles.length - 1)
})

test('a store that has lost a session gets a moment even when it asks for none', () => {
  deepStrictEqual(lostStore('', 0).pauseUs, reopenPauseUs)
  deepStrictEqual(lostStore('', 2_000).pauseUs, 2_000_000)
  deepStrictEqual(missingKey('k').pauseUs, undefined)
})
