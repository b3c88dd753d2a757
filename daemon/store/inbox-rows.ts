/**
 * Puts messages into `mqin`, as the bytes that they are. Must never let a trigger or an index of
 * the inbox's owner do more harm than to refuse its own row.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Message } from '../protocol/record.ts'
import { alikeFrom, alikeMin, AlikeRows, type Arrival } from './alike-rows.ts'
import type { Connection } from './connection.ts'
import { isOfRow, isOwners, isRefusal } from './faults.ts'

/** Rows of one statement that are unlike each other: half of the time is the calls. */
const rowsAtOnce = 8

type Value = string | number | null | Uint8Array

/** `refused`: this row is not taken; `broken`: no row is, at present. */
export type Insertion = {
  readonly inserted: number
  readonly problem: { readonly type: 'refused' | 'broken'; readonly reason: string } | undefined
}

export class InboxRows {
  readonly #connection: Connection
  readonly #alike: AlikeRows
  readonly #insertOne: BetterSqlite3.Statement<Value[]>
  readonly #insertMany: BetterSqlite3.Statement<Value[]>

  constructor(connection: Connection) {
    this.#connection = connection
    this.#alike = new AlikeRows(connection)
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
      const count = alikeFrom(messages, at)
      if (count >= alikeMin) {
        this.#insertUnlike(messages.slice(unlike, at), arrival, nowMs)
        this.#alike.insert(messages.slice(at, at + count), arrival, nowMs)
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
        // Nested: RAISE(FAIL) leaves the row that it refuses where it is.
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
