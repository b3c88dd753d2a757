/**
 * `tinymq bench`: how fast rows reach the user's other host, through nothing but the tables. Must
 * never leave a row in an inbox whose owner has not agreed: the other end runs `--serve`, or the
 * user says `--leave`.
 */
import { rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { CommitWatch } from '../sdk/commit-watch.ts'
import { answered } from '../sdk/waiters.ts'
import { TinymqError } from '../sdk/schema/errors.ts'
import { openDatabase } from '../sdk/schema/open-database.ts'
import { hasHeaderSql, headerOf, replyHeader, requestHeader } from '../sdk/schema/reply-headers.ts'
import { atomically } from '../sdk/schema/sqlite-handle.ts'
import { CliSession, type Context } from './context.ts'
import {
  type DatabaseFlags,
  type JsonFlags,
  wholeNumber,
  withDatabase,
  withJson,
} from './command-line.ts'
import { Progress, type Terminal, bytesText } from './output.ts'
import { jsonLine } from '../daemon/platform/text.ts'

type Flags = DatabaseFlags &
  JsonFlags & {
    readonly port: number
    readonly token: string
    readonly rows: number
    readonly bytes: number
    readonly messages: number
    readonly serve?: true
    readonly leave?: true
  }

export function addBench(program: Command, context: Context): void {
  const command = program
    .command('bench')
    .description('measure rows a second and latency to another host of yours')
    .argument('[host]', 'name or address of the machine to send to')
    .option('-p, --port <port>', 'UDP port of its daemon', wholeNumber(1, 65_535), 9000)
    .option('-t, --token <token>', 'a key that both have, or a label', benchToken)
    .option('-r, --rows <count>', 'rows in bulk', wholeNumber(1, 10_000_000), 20_000)
    .option('-b, --bytes <count>', 'bytes of each', wholeNumber(1, 1_048_576), 100)
    .option('-m, --messages <count>', 'messages one by one', wholeNumber(1, 100_000), 200)
    .option('--serve', 'on the other host: take the rows away as they come, and answer')
    .option('--leave', 'send although nobody serves: the rows stay in the mqin of that host')
    .addHelpText('after', explanation)
  withJson(withDatabase(command)).action(async (host: string | undefined, flags: Flags) => {
    if ((host === undefined) !== (flags.serve === true)) {
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', 'name a host to measure, or say --serve')
    }
    using opened = new CliSession(flags)
    if (host === undefined) await serveBench(opened, flags.token, context.terminal)
    else await measure(opened, host, flags, context)
  })
}

const explanation = `
On the other host, first:  tinymq bench --serve
On this one, then:         tinymq bench THATHOST

Rows carry the header "tinymq-bench", under the token tinymq-bench unless --token says otherwise
(with a key ring it must be the name of a key). --serve takes only rows with both, and what an
earlier run has left. A consumer at the receiver that takes every token would get them as well.

Both daemons must run. What is measured is what an application sees: from the commit of an INSERT
here until this host knows that the row is on the receiver's disk; and, when somebody serves,
until the answer to it is here. Next to it stands what the disk of this host does by itself.
`

async function measure(
  opened: CliSession,
  host: string,
  flags: Flags,
  { terminal, end }: Context,
): Promise<void> {
  const { rows, bytes, messages, json } = flags
  const target = { host, port: flags.port, token: flags.token }
  const measurement = new Measurement(opened, target, terminal)
  try {
    measurement.refuseBacklog()
    const hello = await measurement.greet()
    const isServed = hello.type === 'served'
    const refusal = refusalOf(hello, host, flags)
    if (refusal !== undefined) {
      terminal.say(`tinymq: ${refusal}\n`)
      return end(1)
    }
    const figures: Figures = {
      ...target,
      rows,
      bytes,
      local: measurement.local(rows, bytes),
      bulk: await measurement.bulk(rows, bytes),
      delivered: await measurement.delivered(messages, bytes),
      answered: isServed ? await measurement.answered(messages, bytes) : undefined,
      network: measurement.network(),
    }
    const lines = json === true ? [jsonLine(figuresJson(figures))] : figureLines(figures)
    await terminal.out(`${lines.join('\n')}\n`)
    if (!isServed) terminal.say(left(rows + messages + 1, flags.token))
  } catch (error) {
    if (!terminal.signal.aborted) throw error
    terminal.say('tinymq: ended before its time; what had not left yet is taken back.\n')
    end(130)
  } finally {
    measurement.takeBack()
  }
}

/** Why nothing is measured. */
function refusalOf(hello: BenchHello, host: string, { port, leave }: Flags): string | undefined {
  if (hello.type === 'unreachable') {
    return `no row reaches ${host}:${port}${hello.reason}. tinymq doctor says more.`
  }
  if (hello.type === 'served' || leave === true) return undefined
  const sentence = `nobody takes the rows away at ${host}: the one that asked is in its mqin now`
  return `${sentence}. Run tinymq bench --serve there, or say --leave.`
}

function left(count: number, token: string): string {
  const sql = `DELETE FROM mqin WHERE token = '${token.replaceAll("'", "''")}'`
  const said = `${count.toLocaleString('en-US')} rows are in mqin at the receiver now`
  return `tinymq: ${said}. To remove them there: ${sql} AND headers LIKE '%"tinymq-bench"%';\n`
}

// What `tinymq bench` has found, and how it is shown. Must never measure anything itself.

/** Milliseconds. */
export type Latency = { readonly p50: number; readonly p99: number; readonly count: number }

export type Figures = {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly rows: number
  readonly bytes: number
  /** The disk of this host alone: the same rows, and one durable commit after the other. */
  readonly local: { readonly rowsPerSecond: number; readonly commit: Latency }
  /** From the commit of the first row until all are known to be on the other disk. */
  readonly bulk: { readonly seconds: number }
  readonly delivered: Latency
  /** Undefined when nobody answers at the receiver. */
  readonly answered: Latency | undefined
  /** What the daemon has measured of the network, where it has. */
  readonly network: { readonly rttMs: number | null; readonly lostPercent: number | null }
}

/** The contract of `--json`. */
function figuresJson(figures: Figures): object {
  const { host, port, token, rows, bytes, local, bulk, delivered, answered, network } = figures
  return {
    host,
    port,
    token,
    rows,
    bytes,
    rowsPerSecond: rate(rows, bulk.seconds),
    bytesPerSecond: rate(rows * bytes, bulk.seconds),
    localRowsPerSecond: Math.round(local.rowsPerSecond),
    deliveredMs: latencyJson(delivered),
    answeredMs: answered === undefined ? null : latencyJson(answered),
    localCommitMs: latencyJson(local.commit),
    networkRttMs: network.rttMs,
    networkLostPercent: network.lostPercent,
  }
}

const rate = (count: number, seconds: number): number => Math.round(count / seconds)

const latencyJson = ({ p50, p99 }: Latency): object => ({
  p50: Number(p50.toFixed(2)),
  p99: Number(p99.toFixed(2)),
})

/** Lines for people: each figure, and next to it what it is to be held against. */
function figureLines(figures: Figures): string[] {
  const { host, port, rows, bytes, local, bulk, delivered, answered, network } = figures
  const size = `${rows.toLocaleString('en-US')} rows of ${bytesText(bytes)} to ${host}:${port}`
  const [here, there] = [Math.round(local.rowsPerSecond), rate(rows, bulk.seconds)]
  const flow = `${bytesText(rate(rows * bytes, bulk.seconds))}/s`
  const twice = `two commits here ${(2 * local.commit.p50).toFixed(2)} ms`
  const rtt = network.rttMs === null ? '' : `, round trip ${network.rttMs.toFixed(1)} ms`
  const lost = network.lostPercent === null ? '' : `, ${network.lostPercent.toFixed(1)} % lost`
  const one = `${delivered.count} messages, one by one`
  return [
    size,
    `  on the disk at the receiver  ${perSecond(there)}, ${flow}`,
    `  written here alone      ${perSecond(here)}; ratio ${(there / here).toFixed(2)}`,
    one,
    `  known to be delivered   ${latencyText(delivered)}`,
    ...(answered === undefined ? [] : [`  answered                ${latencyText(answered)}`]),
    `  for comparison          ${twice}${rtt}${lost}`,
  ]
}

const perSecond = (rows: number): string => `${rows.toLocaleString('en-US')} rows/s`

const latencyText = ({ p50, p99 }: Latency): string =>
  `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`

/** From single values in milliseconds. */
function latencyOf(values: readonly number[]): Latency {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  return { p50: at(0.5), p99: at(0.99), count: values.length }
}

// The measurements of `tinymq bench`, each from the outside: INSERTs into the outbox, and what the
// SDK says of them. Must never leave a row of its own in the outbox, nor a file next to the
// database.

type Target = { readonly host: string; readonly port: number; readonly token: string }

/** `unreachable`: the row is here still; why, beginning with a colon if that is known. */
type BenchHello =
  | { readonly type: 'served' }
  | { readonly type: 'not served' }
  | { readonly type: 'unreachable'; readonly reason: string }

/** Rows of one transaction. */
const batchRows = 1_000
/** The baseline: so many rows tell the rate, and so many commits how long one takes. */
const localRowsMax = 50_000
const localBytesMax = 64 * 1_024 ** 2
const localCommits = 100
const lookMs = 100

class Measurement {
  readonly #opened: CliSession
  readonly #target: Target
  readonly #terminal: Terminal
  /** Answers that come too late lie behind this one in the inbox. */
  readonly #inboxBefore: number
  /** Rows of this measurement that may still be in the outbox. */
  #own: readonly [first: number, last: number] | undefined

  constructor(opened: CliSession, target: Target, terminal: Terminal) {
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
    throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
  }

  /** Asks for a sign of somebody who takes the rows away at the receiver. */
  async greet(): Promise<BenchHello> {
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

  /** The same rows into a file next to the database, and one durable commit after the other. */
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
    // The lowest id that is left shows how far it is: what is delivered leaves in order.
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

// `tinymq bench --serve`: takes the rows of a measurement out of the inbox as they come, and
// answers those that ask. Must never touch a row that is not marked as one.

/** The label when no other is chosen. */
const benchToken = 'tinymq-bench'
/** The header that every row of a measurement has. */
const benchHeader = 'tinymq-bench'

type Row = {
  readonly id: number
  readonly host: string | null
  readonly port: number | null
  readonly arrived_at: number | null
  /** Null for rows that are none of ours. */
  readonly headers: string | null
}

/** Who asks waits so long for the answer, in milliseconds. */
export const answerMs = 10_000

/** Rows that are looked at in one transaction. */
const sliceRows = 1_000

/** Until the user ends it. */
async function serveBench(opened: CliSession, token: string, terminal: Terminal): Promise<void> {
  const taker = new Taker(opened, token)
  const watch = new CommitWatch(opened.db)
  using progress = new Progress(terminal, 'serving')
  terminal.say(`tinymq: takes rows of measurements under the token "${token}"; Ctrl-C ends it.\n`)
  while (!terminal.signal.aborted) {
    try {
      await answered(watch, () => taker.takeSlice(), terminal.signal)
    } catch (error) {
      if (terminal.signal.aborted) break
      // Somebody holds the lock for long: the rows are there later too.
      if (!(error instanceof TinymqError && error.retryable)) throw error
    }
    progress.show(taker.taken, undefined, 'rows taken')
  }
  await terminal.out(`${taker.taken.toLocaleString('en-US')} rows taken\n`)
}

class Taker {
  taken = 0
  readonly #opened: CliSession
  readonly #token: string
  #cursor = 0

  constructor(opened: CliSession, token: string) {
    this.#opened = opened
    this.#token = token
  }

  /** Whether there was anything to look at. */
  takeSlice(): boolean {
    const rows = this.#opened.rows<Row>(
      `SELECT id, host, port, arrived_at,
        CASE WHEN token = ? AND ${hasHeaderSql('mqin', benchHeader)} THEN headers END AS headers
      FROM mqin WHERE id > ? ORDER BY id LIMIT ${sliceRows}`,
      this.#token,
      this.#cursor,
    )
    const mine = rows.filter(({ headers }) => headers !== null)
    if (mine.length > 0) this.#take(mine)
    this.#cursor = rows.at(-1)?.id ?? this.#cursor
    return rows.length > 0
  }

  #take(rows: readonly Row[]): void {
    const { db, mq } = this.#opened
    const remove = db.prepare<[number]>('DELETE FROM mqin WHERE id = ?')
    atomically(db, () => {
      for (const { id, host, port, arrived_at: arrivedAt, headers } of rows) {
        remove.run(id)
        const asked = headerOf(headers, requestHeader)
        if (asked === undefined || host === null || port === null) continue
        if ((arrivedAt ?? 0) < Date.now() - answerMs) continue
        const answer = { [benchHeader]: 'answer', [replyHeader]: asked }
        mq.send(host, port, this.#token, '', { headers: answer })
      }
    })
    this.taken += rows.length
  }
}
