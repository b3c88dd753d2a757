/**
 * Inserts many messages by one statement that is given one BLOB and a directory of what is where in
 * it: to hand over each value of each row costs more than to insert the row. Must never be given
 * messages that differ in what the statement says once.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert } from '../protocol/assert.ts'
import type { Message } from '../protocol/record.ts'
import type { Connection } from './connection.ts'
import type { SenderId } from './senders.ts'

/** Fewer are not worth it. */
export const alikeMin = 4
export const alikeMax = 1_024

/** What the rows of one session have in common. */
export type Arrival = {
  readonly sender: SenderId
  /** Name of the key that the session is under, '' without one. */
  readonly key: string
  /** Where the sender can be answered. */
  readonly host: string
  readonly port: number
}

type Named = {
  readonly count: number
  readonly bytes: Uint8Array
  readonly directory: Uint8Array
  readonly host: string
  readonly port: number
  readonly token: string
  readonly isText: number
  readonly nowMs: number
  readonly sender: number
}

// One entry, in decimal with spaces before: SQLite reads numbers out of bytes no other way.
//   time 16 | row 16 | where data begins, from 1 10 | its length 10
const timeEnd = 16
const rowEnd = 32
const startEnd = 42
const lengthEnd = 52
const entryBytes = lengthEnd

/**
 * How many of the messages from `index` on one statement can take: at least the first, which may be
 * one that none can.
 */
export function alikeFrom(messages: readonly Message[], index: number): number {
  let last = messages[index]
  if (last === undefined || last.headers !== undefined) return 1
  let end = index + 1
  for (; end < messages.length && end - index < alikeMax; end++) {
    const next = messages[end]
    if (next === undefined || !isNextOf(last, next)) break
    last = next
  }
  return end - index
}

// The data must lie in the same memory, in order: the statement gets it without a copy of our own.
function isNextOf(last: Message, next: Message): boolean {
  return (
    next.token === last.token &&
    next.isText === last.isText &&
    next.headers === undefined &&
    next.data.buffer === last.data.buffer &&
    next.data.byteOffset >= last.data.byteOffset + last.data.length
  )
}

export class AlikeRows {
  readonly #insert: BetterSqlite3.Statement<[Named]>
  readonly #directory = new Uint8Array(alikeMax * entryBytes)

  constructor(connection: Connection) {
    // The numbers from 0 on: to count in SQL costs as much as the rest of a row.
    connection
      .prepareChange('CREATE TEMP TABLE IF NOT EXISTS mqnumber (i INTEGER PRIMARY KEY)')
      .run()
    connection.prepareChange(numbersSql).run()
    this.#insert = connection.prepareChange(insertSql)
  }

  /** In their order, inside the open transaction: all or none. */
  insert(messages: readonly Message[], arrival: Arrival, nowMs: number): void {
    const [first] = messages
    const last = messages.at(-1)
    if (first === undefined || last === undefined) return
    const count = messages.length
    assert(count <= alikeMax, 'Messages that are inserted at once have a limit.')
    const { byteOffset } = first.data
    const end = last.data.byteOffset + last.data.length
    const bytes = new Uint8Array(first.data.buffer, byteOffset, end - byteOffset)
    this.#directory.fill(space, 0, count * entryBytes)
    for (const [index, { timeMs, row, data }] of messages.entries()) {
      const entry = index * entryBytes
      this.#write(entry + timeEnd, timeMs)
      this.#write(entry + rowEnd, row)
      this.#write(entry + startEnd, data.byteOffset - byteOffset + 1)
      this.#write(entry + lengthEnd, data.length)
    }
    const directory = this.#directory.subarray(0, count * entryBytes)
    const { token } = first
    const isText = first.isText ? 1 : 0
    const { host, port, sender } = arrival
    this.#insert.run({ count, bytes, directory, host, port, token, isText, nowMs, sender })
  }

  /** Whole and not negative, so that its last digit is before `end`. */
  #write(end: number, value: number): void {
    let at = end
    let rest = value
    do {
      const tens = Math.floor(rest / 10)
      // In this order, or the largest numbers are rounded on the way.
      this.#directory[--at] = zero + (rest - tens * 10)
      rest = tens
    } while (rest > 0)
  }
}

const space = 0x20
const zero = 0x30

const numbersSql = `
  WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${alikeMax - 1})
  INSERT INTO temp.mqnumber SELECT i FROM n WHERE NOT EXISTS (SELECT 1 FROM temp.mqnumber)`

const fromDirectory = (start: number, end: number): string =>
  `CAST(substr(@directory, i * ${entryBytes} + ${start + 1}, ${end - start}) AS INTEGER)`

const startSql = fromDirectory(rowEnd, startEnd)
const lengthSql = fromDirectory(startEnd, lengthEnd)
const dataSql = `substr(@bytes, ${startSql}, ${lengthSql})`

// A BLOB that becomes text keeps its bytes, whatever they are; a JavaScript string would not.
const insertSql = `
  INSERT INTO mqin (host, port, token, sent_at, arrived_at, sender, sender_row, data)
  SELECT @host, @port, @token, ${fromDirectory(0, timeEnd)}, @nowMs, @sender,
    ${fromDirectory(timeEnd, rowEnd)}, iif(@isText, CAST(${dataSql} AS TEXT), ${dataSql})
  FROM temp.mqnumber WHERE i < @count ORDER BY i`
