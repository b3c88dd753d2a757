import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { createLog, type Log, type LogOptions } from './log.ts'

type Capture = { readonly log: Log; readonly lines: string[]; nowMs: number }

function capture(options: Partial<LogOptions>): Capture {
  const lines: string[] = []
  const base = { level: 'info', format: 'json', write: (line: string) => lines.push(line) } as const
  const captured: Capture = {
    log: createLog({ ...base, nowMs: () => captured.nowMs, ...options }),
    lines,
    nowMs: 0,
  }
  return captured
}

test('a line of JSON has level, time, event, fields and a sentence', () => {
  const { log, lines } = capture({})
  log({ level: 'warn', event: 'lane-waits', sentence: 'A lane waits.', fields: { lane: 7 } })
  const { time, ...rest } = JSON.parse(lines[0] ?? '') as { time: string }
  match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  deepEqual(rest, { level: 'warn', event: 'lane-waits', lane: 7, message: 'A lane waits.' })
})

test('a line of text is read from left to right', () => {
  const { log, lines } = capture({ format: 'text' })
  log({
    level: 'info',
    event: 'x',
    sentence: 'A lane waits.',
    fields: { host: 'b', why: 'no name' },
  })
  match(lines[0] ?? '', /^\S+Z info {2}A lane waits\. host=b why="no name"\n$/)
})

test('what a peer wrote reaches a terminal without control characters', () => {
  const { log, lines } = capture({ format: 'text' })
  const reason = 'a\u001b[31m\nb\u009b31m\u202e'
  log({ level: 'info', event: 'x', sentence: `Closed: ${reason}`, fields: { reason } })
  // oxlint-disable-next-line no-control-regex
  ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/.test(lines[0] ?? ''), lines[0])
})

test('lines below the level are left out', () => {
  const { log, lines } = capture({ level: 'warn' })
  log({ level: 'info', event: 'x', sentence: 'No.' })
  log({ level: 'error', event: 'x', sentence: 'Yes.' })
  equal(lines.length, 1)
})

test('P11: a kind of event that comes a million times costs a few lines, and they say so', () => {
  const captured = capture({})
  const flood = {
    level: 'warn',
    event: 'peer-broke-rule',
    sentence: 'A peer broke a rule.',
  } as const
  for (let count = 0; count < 1_000_000; count++) captured.log(flood)
  equal(captured.lines.length, 20)
  captured.log({ ...flood, event: 'lane-open' })
  equal(captured.lines.length, 21)
  captured.nowMs = 10_000
  captured.log(flood)
  equal((JSON.parse(captured.lines[21] ?? '') as { suppressed: number }).suppressed, 999_980)
})
