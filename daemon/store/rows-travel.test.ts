/**
 * All that travels with a row, from the outbox through records to the inbox: what arrives is held
 * against what was put in, value by value and byte by byte.
 */
import { deepEqual, equal } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { headersBytesMax, timeMsMax, tokenBytesMax } from './record.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { uniformMax } from './inbox/row-writer.ts'
import {
  boundarySizes,
  contentOf,
  headersBytesMin,
  headersOf,
  recordExtraBytes,
  sizeLimits,
} from '../../test/simulator/store/contents.ts'
import { LaneLink } from '../../test/simulator/store/lane-link.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import { laneTo, pairOf } from '../../test/simulator/store/pair.ts'

type Row = {
  readonly id: number
  readonly token: string
  readonly createdAtMs: number
  readonly headers: string | null
  readonly isText: boolean
  readonly data: Buffer
}

const nowMs = 1_800_000_000_000
const idMax = Number.MAX_SAFE_INTEGER
const mebibyte = 1_048_576

const insertSql = `INSERT INTO mqout (id, host, token, created_at, headers, data)
  VALUES (?, 'b', ?, ?, ?, iif(?, CAST(? AS TEXT), ?))`
const arrivedSql = `SELECT host, port, token, sent_at, sender_row, headers, typeof(data) AS type,
  CAST(data AS BLOB) AS data FROM mqin ORDER BY id`

function rowOf(id: number, bytes: number, chosen: Partial<Row> = {}): Row {
  const { isText = true } = chosen
  const data = contentOf(id, bytes, isText)
  return { id, token: 'token', createdAtMs: nowMs + id, headers: null, isText, data, ...chosen }
}

function put(sender: Machine, rows: readonly Row[]): void {
  const { user } = sender
  const insert = user.prepare(insertSql)
  user.transaction(() => {
    for (const { id, token, createdAtMs, headers, isText, data } of rows) {
      insert.run(id, token, createdAtMs, headers, isText ? 1 : 0, data, data)
    }
  })()
}

/** @param piecesMax the stream arrives in pieces of 1 to so many bytes. */
function expectWhole(
  t: TestContext,
  rows: readonly Row[],
  random: SeededRandom,
  piecesMax = mebibyte,
): void {
  const { sender, receiver } = pairOf(t)
  put(sender, rows)
  const link = new LaneLink({ from: sender, to: receiver, lane: laneTo(sender) })
  while (!link.isIdle) {
    link.step(1 + random.below(piecesMax), 131_072)
    equal(link.ended, undefined, 'a store has ended the session')
  }
  const arrived = receiver.all(arrivedSql)
  equal(arrived.length, rows.length)
  for (const [index, { id, token, createdAtMs, headers, isText, data }] of rows.entries()) {
    const { data: bytes, ...columns } = arrived[index] ?? {}
    deepEqual(columns, {
      host: 'sender',
      port: 9000,
      token,
      sent_at: createdAtMs,
      sender_row: id,
      headers,
      type: isText ? 'text' : 'blob',
    })
    const isSame = bytes instanceof Buffer && bytes.equals(data)
    equal(isSame, true, `row ${id} of ${data.length} bytes has other data`)
  }
  deepEqual(sender.all('SELECT id FROM mqout'), [])
}

for (const isText of [true, false]) {
  const type = isText ? 'TEXT' : 'BLOB'

  test(`P3: ${type} of every size around a limit arrives as it was, without headers`, (t) => {
    const sizes = boundarySizes(Infinity)
    const rows = sizes.map((bytes, index) => rowOf(index + 1, bytes, { isText }))
    expectWhole(t, rows, new SeededRandom(1))
  })

  test(`P3: records of every size around a limit arrive as they were, with ${type}`, (t) => {
    const rows = sizeLimits
      .filter((limit) => limit > 100 && limit <= 2 * mebibyte)
      .flatMap((limit) => [-1, 0, 1].map((more) => limit + more))
      .map((bytes, index) => {
        const id = index + 1
        const headers = headersOf(id, headersBytesMin + (id % 3))
        const message = { row: id, timeMs: nowMs + id, token: '', headers }
        const dataBytes = Math.max(0, bytes - recordExtraBytes(message, bytes))
        return rowOf(id, dataBytes, { isText, headers, token: '' })
      })
    expectWhole(t, rows, new SeededRandom(2))
  })
}

test('P3: headers and tokens of every size around a limit arrive as they were', (t) => {
  const headers = boundarySizes(headersBytesMax)
    .filter((bytes) => bytes >= headersBytesMin)
    .map((bytes) => headersOf(bytes, bytes))
  const tokens = [0, 1, 63, 64, tokenBytesMax - 1, tokenBytesMax].map((bytes) => 't'.repeat(bytes))
  const all = [
    ...[null, '{}', '', ...headers].map((one) => ({ headers: one })),
    ...[...tokens, 'ü 漢 🐦', 'a\0b'].map((token) => ({ token })),
  ]
  const rows = all.map((chosen, index) =>
    rowOf(index + 1, index, { ...chosen, isText: index % 2 === 0 }),
  )
  expectWhole(t, rows, new SeededRandom(3))
})

test('P3: ids and times of every size arrive as they were', (t) => {
  const numbers = [63, 64, 16_383, 16_384, 2 ** 30 - 1, 2 ** 30, 2 ** 32, 2 ** 53 - 2, idMax]
  const rows = numbers.map((id, index) => {
    const createdAtMs = Math.min(numbers.at(-index) ?? 0, timeMsMax)
    return rowOf(id, 10, { createdAtMs, data: contentOf(id, index, true) })
  })
  expectWhole(t, [rowOf(1, 10, { createdAtMs: 0 }), ...rows], new SeededRandom(4))
})

test('a row with a time that no message can have arrives without one', (t) => {
  const { sender, receiver } = pairOf(t)
  const times = [timeMsMax, timeMsMax + 1, 2 ** 53 - 1]
  put(
    sender,
    times.map((createdAtMs, index) => rowOf(index + 1, 10, { createdAtMs })),
  )
  const link = new LaneLink({ from: sender, to: receiver, lane: laneTo(sender) })
  while (!link.isIdle) link.step(mebibyte, 131_072)
  const arrived = receiver.all('SELECT sent_at FROM mqin ORDER BY id')
  deepEqual(
    arrived.map((row) => row['sent_at']),
    [timeMsMax, 0, 0],
  )
})

test('P3: rows that are alike arrive as they were, however many follow each other', (t) => {
  const random = new SeededRandom(5)
  const counts = [1, 3, 4, 5, 8, 9, uniformMax - 1, uniformMax, uniformMax + 1, 2 * uniformMax + 1]
  const kinds = counts.flatMap((count, index) =>
    Array.from({ length: count }, () => ({ token: `t${index}`, isText: index % 3 > 0 })),
  )
  const rows = kinds.map((kind, index) => rowOf(index + 1, random.below(60), kind))
  expectWhole(t, rows, random)
})

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`P3: random rows in pieces of any size arrive as they were, seed ${seed}`, (t) => {
    const random = new SeededRandom(seed)
    const sizes = boundarySizes(70_000)
    let isUniform = false
    const rows = Array.from({ length: 400 }, (_, index) => {
      if (random.chance(0.1)) isUniform = random.chance(0.6)
      const bytes = random.chance(0.3) ? random.one(sizes) : Math.floor(5_000 * random.next() ** 4)
      if (isUniform) return rowOf(index + 1, bytes)
      const headers = random.chance(0.5) ? headersOf(index, random.one([11, 12, 300, 5_000])) : null
      const token = random.one(['', 'token', 'ü 漢 🐦', 'x'.repeat(tokenBytesMax)])
      return rowOf(index + 1, bytes, { headers, token, isText: random.chance(0.6) })
    })
    expectWhole(t, rows, random, random.one([300, 5_000, mebibyte]))
  })
}
