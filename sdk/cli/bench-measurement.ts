/**
 * The measurements of `tinymq bench`, each from the outside: INSERTs into the outbox, and what the
 * SDK says of them. Must never leave a row of its own in the outbox, nor a file beside the
 * database.
 */
import { rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { openDatabase } from '../database.ts'
import { TinymqError } from '../errors.ts'
import { type Figures, type Latency, latencyOf } from './bench-figures.ts'
import { hasHeaderSql } from '../reply.ts'
import { answerMs, benchHeader } from './bench-serve.ts'
import type { Opened } from './command.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

type Target = { readonly host: string; readonly port: number; readonly token: string }

/** `unreachable`: the row is here still; why, beginning with a colon if that is known. */
export type Greeting =
  | { readonly type: 'served' }
  | { readonly type: 'not served' }
  | { readonly type: 'unreachable'; readonly reason: string }

/** Rows of one transaction. */
const batchRows = 1_000
/** The yardstick: so many rows tell the rate, and so many commits how long one takes. */
const localRowsMax = 50_000
const localBytesMax = 64 * 1_024 ** 2
const localCommits = 100
const lookMs = 100

export class Measurement {
  readonly #opened: Opened
  readonly #target: Target
  readonly #terminal: Terminal
  /** Answers that come too late lie behind this one in the inbox. */
  readonly #inboxBefore: number
  /** Rows of this measurement that may still be in the outbox. */
  #own: readonly [first: number, last: number] | undefined

  constructor(opened: Opened, target: Target, terminal: Terminal) {
    this.#opened = opened
    this.#target = target
    this.#terminal = terminal
    const sql = 'SELECT coalesce(max(id), 0) AS id FROM mqin'
    this.#inboxBefore = opened.rows<{ id: number }>(sql).at(0)?.id ?? 0
  }

  /** @throws TinymqError when other rows wait for the host: their delivery would be measured. */
  refuseBacklog(): void {
    const { host, port } = this.#target
    const sql = 'SELECT id FROM mqout WHERE host = ? AND port = ? LIMIT 1'
    const row = this.#opened.rows<{ id: number }>(sql, host, port).at(0)
    if (row === undefined) return
    const why = this.#reasonOf(row.id)
    const sentence = `rows wait for ${host}:${port} already, and would be measured too${why}`
    throw new TinymqError('TINYMQ_BAD_ARGUMENT', sentence)
  }

  /** Asks for a sign of somebody who takes the rows away over there. */
  async greet(): Promise<Greeting> {
    try {
      await this.#ask('', AbortSignal.timeout(answerMs))
      return { type: 'served' }
    } catch (error) {
      if (this.#terminal.signal.aborted || error instanceof TinymqError) throw error
      const waiting = this.#ownIds().at(0)
      if (waiting === undefined) return { type: 'not served' }
      return { type: 'unreachable', reason: this.#reasonOf(waiting) }
    }
  }

  /** The same rows into a file beside the database, and one durable commit after the other. */
  local(rows: number, bytes: number): Figures['local'] {
    const path = `${this.#opened.path}-bench-${process.pid}`
    const db = openDatabase(path)
    try {
      db.exec('CREATE TABLE rows (id INTEGER PRIMARY KEY, data TEXT)')
      const insert = db.prepare<[string]>('INSERT INTO rows (data) VALUES (?)')
      const data = 'x'.repeat(bytes)
      const many = db.transaction((count: number) => {
        for (let row = 0; row < count; row++) insert.run(data)
      })
      const count = Math.ceil(Math.min(rows, localRowsMax, localBytesMax / bytes))
      const startMs = performance.now()
      for (let at = 0; at < count; at += batchRows) many(Math.min(batchRows, count - at))
      const rowsPerSecond = count / secondsSince(startMs)
      const commits = Array.from({ length: localCommits }, () => {
        const beginMs = performance.now()
        insert.run(data)
        return performance.now() - beginMs
      })
      return { rowsPerSecond, commit: latencyOf(commits) }
    } finally {
      db.close()
      for (const ending of ['', '-wal', '-shm']) rmSync(`${path}${ending}`, { force: true })
    }
  }

  async bulk(rows: number, bytes: number): Promise<Figures['bulk']> {
    const message = { ...this.#target, data: 'x'.repeat(bytes), headers: { [benchHeader]: 'row' } }
    const startMs = performance.now()
    let last = 0
    for (let at = 0; at < rows; at += batchRows) {
      const batch = Array.from({ length: Math.min(batchRows, rows - at) }, () => message)
      const ids = this.#opened.mq.sendMany(batch)
      this.#own = [this.#own?.[0] ?? ids[0] ?? 0, ids.at(-1) ?? 0]
      last = ids.at(-1) ?? 0
      // The daemon sends while we insert; a terminal's signal gets its turn.
      await pause(0, undefined, { signal: this.#terminal.signal })
    }
    const ended = new AbortController()
    const shown = this.#showProgress(rows, last, ended.signal)
    try {
      await this.#opened.mq.delivered(last, { signal: this.#terminal.signal })
    } finally {
      ended.abort()
      await shown
    }
    return { seconds: secondsSince(startMs) }
  }

  /** Each is sent when the one before is known to be on the other disk. */
  async delivered(messages: number, bytes: number): Promise<Latency> {
    const { host, port, token } = this.#target
    const { signal } = this.#terminal
    const headers = { [benchHeader]: 'row' }
    return this.#oneByOne('delivered', messages, async () => {
      const id = this.#opened.mq.send(host, port, token, 'x'.repeat(bytes), { headers })
      this.#own = [id, id]
      await this.#opened.mq.delivered(id, { signal })
    })
  }

  /** Each is sent when the one before was answered. */
  async answered(messages: number, bytes: number): Promise<Latency> {
    return this.#oneByOne('answered', messages, async () => this.#ask('x'.repeat(bytes)))
  }

  network(): Figures['network'] {
    const { host, port } = this.#target
    const sql = `SELECT rtt_us / 1000.0 AS rttMs, 100.0 * lost / nullif(packets, 0) AS lostPercent
      FROM mqlane WHERE host = ? AND port = ? ORDER BY since DESC LIMIT 1`
    const none = { rttMs: null, lostPercent: null }
    return this.#opened.rows<Figures['network']>(sql, host, port).at(0) ?? none
  }

  /** What has not left yet never will, and no answer stays here. */
  takeBack(): void {
    const { db } = this.#opened
    const remove = db.prepare<[number]>('DELETE FROM mqout WHERE id = ?')
    const removeAll = db.transaction((ids: readonly number[]) => {
      for (const id of ids) remove.run(id)
    })
    const own = this.#ownIds()
    for (let at = 0; at < own.length; at += batchRows) removeAll(own.slice(at, at + batchRows))
    const late = db.prepare(
      `DELETE FROM mqin WHERE id > ? AND token = ? AND ${hasHeaderSql('mqin', benchHeader)}`,
    )
    late.run(this.#inboxBefore, this.#target.token)
  }

  async #ask(data: string, limit?: AbortSignal): Promise<void> {
    const { host, port, token } = this.#target
    const { signal: ended } = this.#terminal
    const signal = limit === undefined ? ended : AbortSignal.any([ended, limit])
    const asked = this.#opened.mq.request(host, port, token, data, {
      headers: { [benchHeader]: 'ask' },
      signal,
    })
    // It is in the outbox by now: the row is ours.
    const id = this.#opened.rows<{ id: number }>('SELECT max(id) AS id FROM mqout').at(0)?.id ?? 0
    this.#own = [id, id]
    await asked
  }

  async #oneByOne(label: string, count: number, once: () => Promise<void>): Promise<Latency> {
    using progress = new Progress(this.#terminal, label)
    const values: number[] = []
    for (let at = 0; at < count; at++) {
      const startMs = performance.now()
      await once()
      values.push(performance.now() - startMs)
      progress.show(at + 1, count, 'messages')
    }
    return latencyOf(values)
  }

  async #showProgress(rows: number, last: number, signal: AbortSignal): Promise<void> {
    using progress = new Progress(this.#terminal, 'in bulk')
    const { host, port } = this.#target
    // The lowest id that is left tells how far it is: what is delivered leaves in order.
    const sql = 'SELECT min(id) AS id FROM mqout WHERE host = ? AND port = ?'
    const first = this.#opened.db.prepare<unknown[], { id: number | null }>(sql)
    while (!signal.aborted) {
      const id = first.get(host, port)?.id ?? last + 1
      progress.show(Math.max(0, rows - (last + 1 - id)), rows, 'rows')
      await pause(lookMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #ownIds(): number[] {
    const [first, last] = this.#own ?? [0, -1]
    const { host, port } = this.#target
    const sql = `SELECT id FROM mqout WHERE id BETWEEN ? AND ? AND host = ? AND port = ?
      AND ${hasHeaderSql('mqout', benchHeader)}`
    return this.#opened.rows<{ id: number }>(sql, first, last, host, port).map(({ id }) => id)
  }

  #reasonOf(id: number): string {
    const sql = 'SELECT reason FROM mqstatus WHERE id = ?'
    const reason = this.#opened.rows<{ reason: string }>(sql, id).at(0)?.reason
    return reason === undefined ? '' : `: ${reason}`
  }
}

const secondsSince = (startMs: number): number => (performance.now() - startMs) / 1_000
