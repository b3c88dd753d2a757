import { deepEqual, equal } from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Message } from '../record.ts'
import { RowWriter, uniformFrom, uniformMin } from './row-writer.ts'
import { Connection } from '../connection.ts'
import { World } from '../../../test/simulator/store/world.ts'

const arrival = { sender: 3, key: '', host: 'there', port: 9 }

function messageOf(data: Uint8Array, more: Partial<Message> = {}): Message {
  const uid = new Uint8Array(16)
  const fixed = { uid, isText: true, row: 1, timeMs: 2, token: 'a' }
  return { ...fixed, headers: undefined, digest: undefined, data, ...more }
}

/** Messages whose data lie one behind the other, with a byte between them. */
function sharing(texts: readonly string[], more: Partial<Message> = {}): Message[] {
  const piece = Uint8Array.from(Buffer.from(texts.join('|')))
  let from = 0
  return texts.map((text, index) => {
    const data = piece.subarray(from, from + Buffer.byteLength(text))
    from += data.length + 1
    return messageOf(data, { row: index, timeMs: 10 ** index, ...more })
  })
}

function insertAll(t: TestContext, messages: readonly Message[], trigger = ''): unknown[] {
  const connection = new Connection(join(World.of(t).directory, 'alike'), () => 0)
  t.after(() => connection.close())
  if (trigger !== '') connection.prepareChange(trigger).run()
  const rows = new RowWriter(connection)
  connection.begin()
  const { inserted } = rows.insert(messages, arrival, 77)
  connection.commit()
  const reported = connection
    .prepare<[], unknown[]>(
      `SELECT id, host, port, token, sent_at, arrived_at, sender, sender_row, headers,
         typeof(data), hex(data) FROM mqin ORDER BY id`,
    )
    .all()
  equal(reported.length, inserted)
  return reported
}

const expected = (messages: readonly Message[]): unknown[] =>
  messages.map(({ token, timeMs, row, headers, isText, data }, index) => [
    index + 1,
    'there',
    9,
    token,
    timeMs,
    77,
    3,
    row,
    headers ?? null,
    isText ? 'text' : 'blob',
    Buffer.from(data).toString('hex').toUpperCase(),
  ])

test('rows that are alike arrive as those that are not: in order, byte for byte', (t) => {
  const texts = ['', 'a', '\0', 'a\0b', '\ufffd', '12 ', 'long'.repeat(500), 'é', '', 'z']
  const odd = sharing(texts, { isText: false })
  const messages = [
    ...sharing(texts),
    ...odd,
    messageOf(Buffer.from('alone'), { headers: '{}', token: 'b' }),
    ...sharing(texts, { token: '\ud83d\ude00', headers: '{}' }),
    ...sharing(texts),
  ]
  equal(uniformFrom(messages, 0), texts.length)
  deepEqual(insertAll(t, messages), expected(messages))
})

test('the largest time and row arrive as they are', (t) => {
  const most = Number.MAX_SAFE_INTEGER
  const messages = sharing(['a', 'b', 'c', 'd', 'e'], { row: most, timeMs: most })
  equal(uniformFrom(messages, 0), 5)
  deepEqual(insertAll(t, messages), expected(messages))
})

test('thousands at once are inserted in pieces, and none is left out', (t) => {
  const messages = sharing(Array.from({ length: 2_500 }, (_, index) => `data ${index}`))
  const reported = insertAll(
    t,
    messages.map((message) => ({ ...message, timeMs: 1 })),
  )
  equal(reported.length, 2_500)
})

test('data that lie in other memory, or before the last, begin a new statement', () => {
  const memory = new Uint8Array(100)
  const at = (start: number, end: number): Message => messageOf(memory.subarray(start, end))
  equal(uniformFrom([at(0, 5), at(5, 9), at(20, 30)], 0), 3)
  equal(uniformFrom([at(20, 30), at(5, 9), at(9, 10)], 0), 1)
  equal(uniformFrom([at(0, 5), at(4, 9)], 0), 1)
  equal(uniformFrom([at(0, 5), messageOf(new Uint8Array(3)), at(6, 7)], 0), 1)
  equal(uniformFrom([at(0, 5), messageOf(memory.subarray(6), { token: 'b' })], 0), 1)
  equal(uniformFrom([at(0, 5), messageOf(memory.subarray(6), { isText: false })], 0), 1)
  equal(uniformFrom([at(0, 5), messageOf(memory.subarray(6), { headers: '' })], 0), 1)
})

test('a row that the owner of the inbox rejects stops at that row, not at its statement', (t) => {
  const messages = sharing(Array.from({ length: uniformMin + 4 }, (_, index) => `d${index}`))
  const reported = insertAll(
    t,
    messages,
    `CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.data = 'd5'
     BEGIN SELECT RAISE(ABORT, 'not this one'); END`,
  )
  deepEqual(reported, expected(messages).slice(0, 5))
})
