/** The messages of the stories, and that the check notices whatever can be wrong with a row. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { migrate } from '../sdk/schema/migrate.ts'
import {
  type Arrived,
  arrivedAt,
  type Check,
  largeBoundaries,
  Ledger,
  mediumBoundaries,
  type Message,
  messageOf,
  problemsOf,
} from './messages.ts'

const count = 128
const size = 300

function setUp(): { check: Check; messages: Message[]; rows: Arrived[] } {
  const ledger = new Ledger()
  const messages = Array.from({ length: count }, (_, index) => {
    const message = ledger.make('MachineA', index + 1, size)
    ledger.noteId('MachineA', index + 1, index + 1)
    return message
  })
  const rows = messages.map((message, index) => arrive(message, index + 1))
  const hosts = { MachineA: ['MachineA', '10.0.0.2'] }
  return { check: { ledger, expected: { MachineA: count }, hosts, port: 9_000 }, messages, rows }
}

function arrive({ token, headers, isText, bytes }: Message, senderRow: number): Arrived {
  const now = Date.now()
  const at = { sentAt: now, arrivedAt: now }
  const type = isText ? 'TEXT' : 'BLOB'
  return { host: 'MachineA', port: 9_000, token, headers, type, bytes, ...at, senderRow }
}

test('what was sent is what has arrived', () => {
  const { check, rows } = setUp()
  deepEqual(problemsOf(rows, check), [])
})

test('a large message in the middle of a tiny run is distinguished from its neighbours', () => {
  const { check, rows } = setUp()
  const large = check.ledger.make('MachineA', 60, 70_000, true)
  const found = rows
    .with(59, arrive(large, 60))
    .map((row, index) => ({ ...row, senderRow: index + 1 }))
  check.ledger.noteId('MachineA', 60, 60)
  deepEqual(problemsOf(found, check), [])
})

test('a batch has every kind of row, and every small size as text and as a BLOB', () => {
  const messages = Array.from({ length: 2_000 }, (_, index) => messageOf('A', index + 1, size))
  const sizes = (isText: boolean): Set<number> =>
    new Set(messages.filter((it) => it.isText === isText).map(({ bytes }) => bytes.length))
  for (const isText of [true, false]) {
    for (const wanted of [0, 1, 1_023, 1_024, 1_025, 1_199, 1_200, 1_201]) {
      ok(sizes(isText).has(wanted), `${wanted} bytes, text: ${isText}`)
    }
  }
  for (const isText of [true, false]) {
    for (const hasHeaders of [true, false]) {
      const has = (it: Message): boolean =>
        it.isText === isText && (it.headers !== null) === hasHeaders
      ok(messages.some(has), `text: ${isText}, headers: ${hasHeaders}`)
    }
  }
  ok(new Set(messages.map(({ token }) => token)).size > 10)
  const texts = messages.filter(({ isText }) => isText)
  for (const { bytes } of texts) deepEqual(Buffer.from(Buffer.from(bytes).toString()), bytes)
})

test('a size that is asked for exactly is exact', () => {
  const sizes = [...mediumBoundaries, ...largeBoundaries].filter((bytes) => bytes < 300_000)
  for (const [index, bytes] of sizes.entries()) {
    for (const number of [index + 1, index + 57]) {
      equal(messageOf('A', number, bytes, true).bytes.length, bytes)
    }
  }
})

const others: readonly [string, (rows: Arrived[]) => void, RegExp][] = [
  ['a row is missing', (rows) => rows.splice(40, 1), /^missing: MachineA:41$/m],
  ['a tiny row is missing', (rows) => rows.splice(58, 1), /^missing: MachineA:63$/m],
  ['a row is there twice', (rows) => rows.splice(41, 0, at(rows, 40)), /^duplicate: MachineA:41$/m],
  ['a tiny row is there twice', (rows) => rows.splice(58, 0, at(rows, 57)), /^unknown: .*tiny/m],
  [
    'two rows are swapped',
    (rows) => rows.splice(40, 2, at(rows, 41), at(rows, 40)),
    /^out of order: MachineA:41 after 42$/m,
  ],
  ['a row is of another sender', (rows) => alter(rows, 1, { host: 'MachineB' }), /^wrong host: /m],
  ['its port is another', (rows) => alter(rows, 1, { port: 9_001 }), /^wrong host: /m],
  ['nobody knows it', (rows) => alter(rows, 1, { bytes: Buffer.from('hello') }), /^unknown: /m],
  ['its token is another', (rows) => alter(rows, 1, { token: 'blobs' }), /: token is "blobs"/m],
  ['its headers are gone', (rows) => alter(rows, 33, { headers: null }), /: headers are null/m],
  ['it has headers', (rows) => alter(rows, 0, { headers: '{}' }), /: headers are "\{\}"/m],
  ['text has become a BLOB', (rows) => alter(rows, 1, { type: 'BLOB' }), /: data is BLOB/m],
  ['a BLOB has become text', (rows) => alter(rows, 25, { type: 'TEXT' }), /: data is TEXT/m],
  ['it has become NULL', (rows) => alter(rows, 61, { type: 'NULL' }), /: data is NULL/m],
  ['its row is another', (rows) => alter(rows, 1, { senderRow: 3 }), /: sender_row is 3, not 2/m],
  ['its time is lost', (rows) => alter(rows, 1, { sentAt: null }), /: sent_at is null/m],
  ['it arrived never', (rows) => alter(rows, 1, { arrivedAt: 0 }), /: arrived_at is 0/m],
]

const at = (rows: readonly Arrived[], index: number): Arrived => rows[index] as Arrived

function alter(rows: Arrived[], index: number, change: Partial<Arrived>): void {
  rows[index] = { ...at(rows, index), ...change }
}

for (const [what, change, problem] of others) {
  test(`the check notices it when ${what}`, () => {
    const { check, rows } = setUp()
    change(rows)
    match(problemsOf(rows, check).join('\n'), problem)
  })
}

test('the check notices each byte that is flipped, and each that is cut', () => {
  const { check, rows } = setUp()
  for (const index of [0, 1, 2, 24, 33, 57, 60]) {
    const { bytes } = at(rows, index)
    const alone = { ...check, expected: { MachineA: [index + 1] } }
    for (let byte = 0; byte < bytes.length; byte++) {
      const flipped = Buffer.from(bytes)
      flipped[byte] = (flipped[byte] ?? 0) ^ 1
      const found = [{ ...at(rows, index), bytes: flipped }]
      ok(problemsOf(found, alone).length > 0, `byte ${byte} of row ${index}`)
    }
    if (bytes.length === 0) continue
    const cut = [{ ...at(rows, index), bytes: bytes.subarray(0, -1) }]
    ok(problemsOf(cut, alone).length > 0, `the last byte of row ${index}`)
  }
})

test('a row is read from an inbox as it was written', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-messages-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'db')
  const db = new Database(path)
  t.after(() => db.close())
  migrate(db)
  const { check, messages } = setUp()
  const insert = db.prepare(
    `INSERT INTO mqin (host, port, token, headers, data, sent_at, arrived_at, sender_row)
     VALUES ('10.0.0.2', 9000, ?, ?, ?, ?, ?, ?)`,
  )
  const now = Date.now()
  for (const { token, headers, isText, bytes, number } of messages) {
    const data = isText ? Buffer.from(bytes).toString() : bytes
    insert.run(token, headers, data, now, now, number)
  }
  deepEqual(problemsOf(arrivedAt(path), check), [])
})
