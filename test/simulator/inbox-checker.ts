/**
 * What must hold of the inbox of one machine at every step: each message once, in order, as it was
 * sent, where it was sent to; and the watermarks of its streams never fall, nor below what was
 * reported (P3, P4, P5). Must never write.
 */
import type { StoreResult } from '../../daemon/protocol/store-messages.ts'
import type { StoreTask } from '../../daemon/store/store.ts'
import type { Disk } from './disk.ts'
import { contentOf } from './store/contents.ts'
import { numberAt, type Entry, type Ledger } from './expected-state.ts'
import { expect } from './violation.ts'

type Arrival = {
  readonly id: number
  readonly number: number
  readonly stream: string
  isStored: boolean
}

type InboxRow = {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly headers: string | null
  readonly token: string
  readonly type: string
  readonly data: Buffer
  readonly sender_row: number
  readonly sent_at: number
  readonly stream: string
}

/** What an inbox looked like when a copy of it was made. */
export type InboxState = { readonly arrivals: readonly Arrival[] }

type InboxCheckerParts = {
  readonly name: string
  readonly disk: Disk
  readonly ledger: Ledger
  /** The machine that a name leads to once there is peace. */
  readonly machineAt: (host: string) => string
  /** Where a machine says that it can be answered. */
  readonly answeredAt: (name: string) => { readonly host: string; readonly port: number }
}

// Text is read as bytes: a JavaScript string does not keep those that are not UTF-8.
const arrivalsSql = `SELECT i.id, i.host, i.port, i.headers, i.token, typeof(i.data) AS type,
    CAST(i.data AS BLOB) AS data, i.sender_row, i.sent_at, hex(s.stream) AS stream
  FROM mqin AS i JOIN mqsender AS s ON s.id = i.sender WHERE i.id > ? ORDER BY i.id`
const lastIdSql = "SELECT coalesce(max(seq), 0) AS n FROM sqlite_sequence WHERE name = 'mqin'"
const watermarksSql = 'SELECT hex(stream) AS stream, watermark FROM mqsender'

export class InboxChecker {
  readonly #parts: InboxCheckerParts
  #arrivals: Arrival[] = []
  readonly #numbers = new Set<number>()
  /** Of each stream, and of each way when no file was ever replaced: the last row in order. */
  readonly #lastRows = new Map<string, number>()
  /** The file has been replaced before. */
  #isReplaced = false
  #watermarks = new Map<string, number>()
  #storedWatermarks = new Map<string, number>()
  readonly #streams = new Map<number, string>()

  constructor(parts: InboxCheckerParts) {
    this.#parts = parts
  }

  get numbers(): ReadonlySet<number> {
    return this.#numbers
  }

  /** What a copy of the file has: all that is committed, synced or not, and what was consumed. */
  get state(): InboxState {
    return { arrivals: [...this.#arrivals] }
  }

  /** The store has done these. */
  onTasks(tasks: readonly StoreTask[]): void {
    for (const task of tasks) {
      if (task.type === 'accept') {
        this.#streams.set(task.session, Buffer.from(task.stream).toString('hex').toUpperCase())
      }
    }
  }

  /** Something was written. */
  look(): void {
    this.#scan()
    this.#watermarks = this.#readWatermarks(this.#watermarks)
  }

  /** What the last transaction has written is on the durable medium. */
  onSynced(): void {
    const { ledger, name } = this.#parts
    for (let at = this.#arrivals.length - 1; at >= 0; at--) {
      const arrival = this.#arrivals[at]
      if (arrival === undefined || arrival.isStored) break
      arrival.isStored = true
      ledger.get(arrival.number).storedAt.add(name)
    }
    this.#storedWatermarks = this.#watermarks
  }

  /** The core is about to hear of it, and to tell the peer. */
  onReported(result: StoreResult): void {
    if (result.type !== 'received' && result.type !== 'accepted') return
    const stream = this.#streams.get(result.session)
    if (stream === undefined) return
    const reported = result.type === 'received' ? result.sequence : result.watermark
    const stored = this.#storedWatermarks.get(stream) ?? 0
    expect(reported <= stored, 'durable before confirmed', () =>
      this.#say(`is reported ${reported} of stream ${stream}, and has ${stored} on disk`),
    )
  }

  /** The process died; the system has not. */
  onKilled(): void {
    this.#streams.clear()
    this.look()
  }

  onPowerCut(): void {
    this.#streams.clear()
    const last = this.#lastId()
    const gone = this.#arrivals.filter(({ id }) => id > last)
    for (const { number, isStored } of gone) {
      expect(!isStored, 'durable', () =>
        this.#say(`has lost message ${number}, which was on its disk, in a power cut`),
      )
    }
    this.#take(this.#arrivals.filter(({ id }) => id <= last))
    this.#scan()
    this.#watermarks = this.#readWatermarks(this.#storedWatermarks)
    this.onSynced()
  }

  /** Another file is in place now. @param state what its inbox had; undefined: nothing. */
  onReplaced(state: InboxState | undefined): void {
    this.#streams.clear()
    const before = Array.from(this.#numbers)
    this.#take((state?.arrivals ?? []).map((arrival) => ({ ...arrival })))
    const { lost, lostAgain } = this.#parts.ledger
    for (const number of before.filter((one) => !this.#numbers.has(one))) {
      lost.add(number)
      if (this.#isReplaced) lostAgain.add(number)
    }
    this.#isReplaced = true
    this.#scan()
    this.#watermarks = this.#readWatermarks(new Map())
    this.onSynced()
  }

  #take(arrivals: Arrival[]): void {
    this.#arrivals = arrivals
    this.#numbers.clear()
    this.#lastRows.clear()
    for (const { number, stream } of arrivals) {
      this.#numbers.add(number)
      this.#noteOrder(this.#parts.ledger.get(number), stream)
    }
  }

  #lastId(): number {
    return this.#parts.disk.read<{ n: number }>(lastIdSql)[0]?.n ?? 0
  }

  #scan(): void {
    const { disk, ledger, name } = this.#parts
    const last = this.#arrivals.at(-1)?.id ?? 0
    for (const row of disk.read<InboxRow>(arrivalsSql, last)) {
      const entry = ledger.get(numberAt(row.sent_at))
      this.#checkIdentity(row, entry)
      this.#noteOrder(entry, row.stream)
      entry.seenAt.add(name)
      this.#numbers.add(entry.number)
      const { id, stream } = row
      this.#arrivals.push({ id, number: entry.number, stream, isStored: false })
    }
  }

  #checkIdentity(row: InboxRow, entry: Entry): void {
    const { ledger, name, machineAt } = this.#parts
    const { number } = entry
    expect(!this.#numbers.has(number), 'once', () => this.#say(`gets message ${number} twice`))
    expect(entry.stopped === undefined || ledger.hasCopies, 'stopped', () =>
      this.#say(`gets message ${number}, which ${entry.stopped}`),
    )
    const goesElsewhere = machineAt(entry.host) !== name && !ledger.hasCopies
    expect(!goesElsewhere, 'place', () =>
      this.#say(`gets message ${number}, which is for ${entry.host}`),
    )
    const changed = this.#changed(row, entry)
    expect(changed.length === 0, 'content', () =>
      this.#say(`gets message ${number} otherwise than it was sent: ${changed.join(', ')}`),
    )
    if (entry.isDisplaced) return
    for (const way of this.#ways(entry, row.stream)) {
      const before = this.#lastRows.get(way) ?? 0
      expect(entry.id > before, 'order', () =>
        this.#say(`gets row ${entry.id} after row ${before} of ${way} (message ${number})`),
      )
    }
  }

  /** What is not as its application has put it in. */
  #changed(row: InboxRow, entry: Entry): string[] {
    const { number, bytes, isText, token, headers } = entry
    const [type, data] = [isText ? 'text' : 'blob', contentOf(number, bytes, isText)]
    const place = `${row.host}:${row.port}`
    const pairs = [
      ['type', row.type, type],
      ['length', row.data.length, bytes],
      ['data', row.data.equals(data), true],
      ['token', row.token, token],
      ['headers', row.headers, headers],
      ['sender_row', row.sender_row, entry.id],
      ['sent_at', row.sent_at, entry.createdAtMs],
      ['host and port', this.#answeredAt(entry).includes(place), true],
    ] as const
    return pairs.filter(([, now, sent]) => now !== sent).map(([name, now]) => `${name} (${now})`)
  }

  /** The machine that it was put in on, or one that has a copy of its rows. */
  #answeredAt({ sender }: Entry): string[] {
    const { ledger, answeredAt } = this.#parts
    const names = ledger.hasCopies ? [sender, `copy-of-${sender}`] : [sender]
    return names.map(answeredAt).map(({ host, port }) => `${host}:${port}`)
  }

  #noteOrder(entry: Entry, stream: string): void {
    if (entry.isDisplaced) return
    for (const way of this.#ways(entry, stream)) this.#lastRows.set(way, entry.id)
  }

  #ways({ sender, host }: Entry, stream: string): string[] {
    const { hasCopies, hasReplaced } = this.#parts.ledger
    return hasCopies || hasReplaced ? [stream] : [stream, `${sender} to ${host}`]
  }

  #readWatermarks(before: ReadonlyMap<string, number>): Map<string, number> {
    const rows = this.#parts.disk.read<{ stream: string; watermark: number }>(watermarksSql)
    const now = new Map(rows.map(({ stream, watermark }) => [stream, watermark]))
    for (const [stream, watermark] of before) {
      const after = now.get(stream) ?? 0
      expect(after >= watermark, 'watermark', () =>
        this.#say(`had ${watermark} of stream ${stream}, and has ${after}`),
      )
    }
    return now
  }

  #say(what: string): string {
    return `${this.#parts.name} ${what}.`
  }
}
