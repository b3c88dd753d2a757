/**
 * Puts messages into `mqin`, as the bytes that they are. Must never let a trigger or an index of
 * the inbox's owner do more harm than to reject its own row.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert } from '../../protocol/assert.ts'
import type { Connection } from '../connection.ts'
import { isOfRow, isOwners, isRefusal } from '../error-classification.ts'
import type { Message } from '../record.ts'
import type { SenderId } from './senders.ts'

/** Rows of one statement that are unlike each other: half of the time is the calls. */
const rowsAtOnce = 8

type Value = string | number | null | Uint8Array

/** `refused`: this row is not taken; `broken`: no row is, at present. */
export type Insertion = {
  readonly inserted: number
  readonly problem: { readonly type: 'refused' | 'broken'; readonly reason: string } | undefined
}

export class RowWriter {
  readonly #connection: Connection
  readonly #uniform: BulkInsert
  readonly #insertOne: BetterSqlite3.Statement<Value[]>
  readonly #insertMany: BetterSqlite3.Statement<Value[]>

  constructor(connection: Connection) {
    this.#connection = connection
    this.#uniform = new BulkInsert(connection)
    this.#insertOne = connection.prepareChange(insertSql(1))
    this.#insertMany = connection.prepareChange(insertSql(rowsAtOnce))
  }

  /**
   * Inserts them in order, inside the open transaction, up to the first that cannot be.
   * @throws what SQLite throws when the transaction cannot go on.
   */
  insert(messages: readonly Message[], arrival: Arrival, nowMs: number): Insertion {
    try {
      this.#connection.nested(() => this.#insertAll(messages, arrival, nowMs))
      return { inserted: messages.length, problem: undefined }
    } catch (error) {
      // One after the other: which one is it?
      if (!this.#connection.isWriting || !isOwners(error)) throw error
      return this.#insertSome(messages, arrival, nowMs)
    }
  }

  #insertAll(messages: readonly Message[], arrival: Arrival, nowMs: number): void {
    let unlike = 0
    for (let at = 0; at < messages.length;) {
      const count = uniformFrom(messages, at)
      if (count >= uniformMin) {
        this.#insertUnlike(messages.slice(unlike, at), arrival, nowMs)
        this.#uniform.insert(messages.slice(at, at + count), arrival, nowMs)
        unlike = at + count
      }
      at += count
    }
    this.#insertUnlike(messages.slice(unlike), arrival, nowMs)
  }

  #insertUnlike(messages: readonly Message[], arrival: Arrival, nowMs: number): void {
    let done = 0
    for (; messages.length - done >= rowsAtOnce; done += rowsAtOnce) {
      this.#run(this.#insertMany, messages.slice(done, done + rowsAtOnce), arrival, nowMs)
    }
    for (; done < messages.length; done++) {
      this.#run(this.#insertOne, messages.slice(done, done + 1), arrival, nowMs)
    }
  }

  #insertSome(messages: readonly Message[], arrival: Arrival, nowMs: number): Insertion {
    for (const [index, message] of messages.entries()) {
      try {
        // Nested: RAISE(FAIL) leaves the row that it rejects where it is.
        this.#connection.nested(() => this.#run(this.#insertOne, [message], arrival, nowMs))
      } catch (error) {
        const problem = this.#problemOf(error)
        if (!this.#connection.isWriting || problem === undefined) throw error
        return { inserted: index, problem }
      }
    }
    return { inserted: messages.length, problem: undefined }
  }

  /**
   * What does not even compile takes no row. Else it is this row that a trigger cannot deal with:
   * others may go, so it must not stand before them.
   */
  #problemOf(error: unknown): Insertion['problem'] {
    if (!isOwners(error)) return undefined
    const mayBeAlone = isOfRow(error) && this.#connection.compiles(insertSql(1))
    const isAlone = isRefusal(error) || mayBeAlone
    return { type: isAlone ? 'refused' : 'broken', reason: error.message }
  }

  #run(
    statement: BetterSqlite3.Statement<Value[]>,
    messages: readonly Message[],
    { sender, host, port }: Arrival,
    nowMs: number,
  ): void {
    const values: Value[] = [host, port, nowMs, sender]
    for (const { token, timeMs, row, headers, isText, data } of messages) {
      values.push(token, timeMs, row, headers ?? null, isText ? 1 : 0, data)
    }
    statement.run(...values)
  }
}

// A BLOB that becomes text keeps its bytes, whatever they are; a JavaScript string would not.
const insertSql = (rows: number): string => `
  INSERT INTO mqin (host, port, token, sent_at, arrived_at, sender, sender_row, headers, data)
  SELECT ?, ?, column1, column2, ?, ?, column3, column4,
    iif(column5, CAST(column6 AS TEXT), column6)
  FROM (VALUES ${Array(rows).fill('(?, ?, ?, ?, ?, ?)').join(', ')})`

// Inserts many messages by one statement that is given one BLOB and a directory of what is where in
// it: to hand over each value of each row costs more than to insert the row. Must never be given
// messages that differ in what the statement says once.

/** Fewer are not worth it. */
export const uniformMin = 4
export const uniformMax = 1_024

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
export function uniformFrom(messages: readonly Message[], index: number): number {
  let last = messages[index]
  if (last === undefined || last.headers !== undefined) return 1
  let end = index + 1
  for (; end < messages.length && end - index < uniformMax; end++) {
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

class BulkInsert {
  readonly #insert: BetterSqlite3.Statement<[Named]>
  readonly #directory = new Uint8Array(uniformMax * entryBytes)

  constructor(connection: Connection) {
    // The numbers from 0 on: to count in SQL costs as much as the rest of a row.
    connection
      .prepareChange('CREATE TEMP TABLE IF NOT EXISTS mqnumber (i INTEGER PRIMARY KEY)')
      .run()
    connection.prepareChange(numbersSql).run()
    this.#insert = connection.prepareChange(bulkInsertSql)
  }

  /** In their order, inside the open transaction: all or none. */
  insert(messages: readonly Message[], arrival: Arrival, nowMs: number): void {
    const [first] = messages
    const last = messages.at(-1)
    if (first === undefined || last === undefined) return
    const count = messages.length
    assert(count <= uniformMax, 'Messages that are inserted at once have a limit.')
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
  WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${uniformMax - 1})
  INSERT INTO temp.mqnumber SELECT i FROM n WHERE NOT EXISTS (SELECT 1 FROM temp.mqnumber)`

const fromDirectory = (start: number, end: number): string =>
  `CAST(substr(@directory, i * ${entryBytes} + ${start + 1}, ${end - start}) AS INTEGER)`

const startSql = fromDirectory(rowEnd, startEnd)
const lengthSql = fromDirectory(startEnd, lengthEnd)
const dataSql = `substr(@bytes, ${startSql}, ${lengthSql})`

// A BLOB that becomes text keeps its bytes, whatever they are; a JavaScript string would not.
const bulkInsertSql = `
  INSERT INTO mqin (host, port, token, sent_at, arrived_at, sender, sender_row, data)
  SELECT @host, @port, @token, ${fromDirectory(0, timeEnd)}, @nowMs, @sender,
    ${fromDirectory(timeEnd, rowEnd)}, iif(@isText, CAST(${dataSql} AS TEXT), ${dataSql})
  FROM temp.mqnumber WHERE i < @count ORDER BY i`
