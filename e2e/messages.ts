/**
 * The messages of the stories, and the one check of what has arrived. Every part of a message is a
 * function of its sender, its number and its size, so what must arrive is known when it is made and
 * never read from a database. Must never accept a message without comparing all of it.
 */
import { createHash } from 'node:crypto'
import Database from 'better-sqlite3'
import { range } from '../test/support/numbered.ts'

/** One row as it is inserted. */
export type Message = {
  /** A word: who sends, and to whom if that matters. */
  readonly sender: string
  readonly number: number
  readonly token: string
  readonly headers: string | null
  readonly isText: boolean
  readonly bytes: Uint8Array
}

/** Numbers of the messages that must be in the inbox, by sender: 1 to n, or a list. */
export type Expected = { readonly [sender: string]: number | readonly number[] }

/** Around every limit that a small message can meet: varints, datagrams, a row of one page. */
const smallBoundaries: readonly number[] = [
  63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1_023, 1_024, 1_025, 1_168, 1_169, 1_170,
  1_199, 1_200, 1_201, 1_420, 1_421, 1_422, 1_452,
]

/** Every third message has one of these sizes. */
const boundaryEvery = 3

/** In every batch, once: the longest varint of two bytes, and what a length of 16 bits can say. */
export const mediumBoundaries: readonly number[] = [16_383, 16_384, 16_385, 65_535, 65_536, 65_537]

const around = (limit: number): number[] => [limit - 1, limit, limit + 1]

/**
 * Around the limits for large messages: what a message may have with a digest (65,536) and in the
 * parser (131,072), the slice and the answer of the store (262,144), the part and the transaction
 * (1,048,576), and the window of a large row (8,388,608).
 */
export const largeBoundaries: readonly number[] = [131_072, 262_144, 1_048_576, 8_388_608].flatMap(
  around,
)

// Of 64 numbers the last 8 are a run of tiny messages, which one statement of the store inserts.
// Nothing in them says which they are, so they are distinguished by their order within the run.
const period = 64
const tinyFirst = 56
const tinyToken = 'tiny '
const tinyBytes: readonly number[] = [0, 1, 0, 1, 2, 16, 1, 0]
// Of 64 numbers the first 24 are alike, and 8 more.
const uniformTextEnd = 24
const uniformBlobEnd = 32

/** Too little room for "MachineA_to_MachineB:12345:". */
const namedBytesMin = 32
/** The longest token (PROTOCOL §6). */
const tokenBytesMax = 255
const longHeadersEvery = 5
const longHeadersBytes = 700

const specials = Buffer.from('It\'s 100 % "🐦"\\\n\t\u0000;--')
const tails = ['\n', '\u0000', ' ', 'é', '\r\n', "'", '\u0000\u0000', '=']

/**
 * The message of this sender and number.
 * @param size of its data; a boundary size or a tiny one replaces it where the number says so.
 */
export function messageOf(sender: string, number: number, size: number, exact = false): Message {
  const place = number % period
  if (!exact && place >= tinyFirst) return tinyMessage(sender, number)
  const boundary = smallBoundaries[Math.floor(number / boundaryEvery) % smallBoundaries.length]
  const isBoundary = !exact && number % boundaryEvery === 1
  const length = Math.max(namedBytesMin, isBoundary ? (boundary ?? size) : size)
  const isText = place < uniformTextEnd || (place >= uniformBlobEnd && number % 2 === 0)
  const shape = { sender, number, isText, bytes: bodyOf(sender, number, length, isText) }
  if (place < uniformTextEnd) return { ...shape, token: 'token', headers: null }
  if (place < uniformBlobEnd) return { ...shape, token: 'blobs', headers: null }
  const tokens = ['', 'token', `Größe ${number % 7} 🐦`, 't'.repeat(tokenBytesMax)]
  const token = tokens[Math.floor(number / 2) % tokens.length] ?? ''
  return { ...shape, token, headers: number % 4 === 3 ? null : headersOf(sender, number) }
}

function tinyMessage(sender: string, number: number): Message {
  const run = Math.floor(number / period)
  const size = tinyBytes[(number % period) - tinyFirst] ?? 0
  const isText = run % 2 === 0
  const bytes = isText ? Buffer.alloc(size, "\n\u0000' "[number % 4]) : chance(sender, number, size)
  return { sender, number, token: `${tinyToken}${sender}:${run}`, headers: null, isText, bytes }
}

function headersOf(sender: string, number: number): string {
  const isLong = number % longHeadersEvery === 0
  const trace = chance(sender, -number, isLong ? longHeadersBytes : 8).toString('hex')
  return JSON.stringify({ sender, number, trace, note: "It's \u0000 🐦\n" })
}

function bodyOf(sender: string, number: number, size: number, isText: boolean): Buffer {
  const name = Buffer.from(`${sender}:${number}:`)
  if (!isText) return Buffer.concat([name, chance(sender, number, size - name.length)])
  const tail = Buffer.from(tails[number % tails.length] ?? '')
  const room = size - name.length - tail.length
  const head = room > specials.length ? Buffer.concat([name, specials]) : name
  const fill = chance(sender, number, size)
    .toString('hex')
    .slice(0, size - head.length - tail.length)
  return Buffer.concat([head, Buffer.from(fill), tail])
}

/** Bytes that look like chance, and are always the same for this sender and number. */
function chance(sender: string, number: number, length: number): Buffer {
  if (length === 0) return Buffer.alloc(0)
  return createHash('shake256', { outputLength: length }).update(`${sender}:${number}`).digest()
}

/** What identifies a message's data: its type, its length and its hash. */
function digestOf(type: string, bytes: Uint8Array): string {
  const hash = createHash('sha256').update(bytes).digest('hex')
  return `${type} of ${bytes.length} bytes, sha256 ${hash}`
}

/** What is checked of one arrived row. */
export type Arrived = {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly headers: string | null
  /** `TEXT` or `BLOB`, or what else it has become. */
  readonly type: string
  readonly bytes: Uint8Array
  readonly sentAt: number | null
  readonly arrivedAt: number
  /** The id that the row had in the sender's outbox. */
  readonly senderRow: number | null
}

type Entry = {
  readonly token: string
  readonly headers: string | null
  readonly digest: string
  /** The id in the sender's outbox, once it is known. */
  id: number | undefined
  /** Its `created_at`, when the story gave one. */
  sentAt: number | undefined
}

const keyOf = (sender: string, number: number): string => `${sender}:${number}`

/** All messages of one story, noted when they are made. */
export class Ledger {
  readonly #entries = new Map<string, Entry>()
  /** No message of the story was made before. */
  readonly sinceMs = Date.now()

  /** Makes the message and notes what must arrive. */
  make(sender: string, number: number, size: number, exact = false): Message {
    const message = messageOf(sender, number, size, exact)
    const { token, headers, isText, bytes } = message
    const digest = digestOf(isText ? 'TEXT' : 'BLOB', bytes)
    this.#entries.set(keyOf(sender, number), {
      token,
      headers,
      digest,
      id: undefined,
      sentAt: undefined,
    })
    return message
  }

  /** The id that the sender's outbox gave the message. */
  noteId(sender: string, number: number, id: number): void {
    const entry = this.#entries.get(keyOf(sender, number))
    if (entry !== undefined) entry.id = id
  }

  /** A time of sending, in the past and unlike those of its neighbours. */
  noteTime({ sender, number }: Message): number {
    const sentAt = this.sinceMs - (number % 997)
    const entry = this.#entries.get(keyOf(sender, number))
    if (entry !== undefined) entry.sentAt = sentAt
    return sentAt
  }

  /** Numbers of the messages that the sender's outbox gave these ids, in their order. */
  numbersOf(sender: string, ids: readonly number[]): number[] {
    const wanted = new Set(ids)
    return Array.from(this.#entries)
      .filter(([key, { id }]) => key.startsWith(`${sender}:`) && id !== undefined && wanted.has(id))
      .map(([key]) => Number(key.slice(sender.length + 1)))
      .toSorted((one, other) => one - other)
  }

  tokenOf(sender: string, number: number): string | undefined {
    return this.#entries.get(keyOf(sender, number))?.token
  }

  /** The ids that the sender's outbox gave these messages. */
  idsOf(sender: string, numbers: readonly number[]): number[] {
    return numbers.map((number) => this.#entries.get(keyOf(sender, number))?.id ?? 0)
  }

  /** Of the message's fields, those that are not as they were made. */
  differences(key: string, row: Arrived): string[] {
    const entry = this.#entries.get(key)
    if (entry === undefined) return ['it was never made']
    const { token, headers, digest, id, sentAt } = entry
    const found = digestOf(row.type, row.bytes)
    const seen = (text: unknown): string => JSON.stringify(text).slice(0, 100)
    const nowMs = Date.now()
    return [
      found === digest ? '' : `data is ${found} and was ${digest}`,
      row.token === token ? '' : `token is ${seen(row.token)} and was ${seen(token)}`,
      row.headers === headers ? '' : `headers are ${seen(row.headers)} and were ${seen(headers)}`,
      id === undefined || row.senderRow === id ? '' : `sender_row is ${row.senderRow}, not ${id}`,
      isSentAt(row.sentAt, sentAt, this.sinceMs) ? '' : `sent_at is ${row.sentAt}, not ${sentAt}`,
      isWithin(row.arrivedAt, this.sinceMs, nowMs) ? '' : `arrived_at is ${row.arrivedAt}`,
    ].filter((difference) => difference !== '')
  }
}

/** A guest's clock may be read a little before its database's. */
const clockMs = 1_000

const isWithin = (value: number | null, fromMs: number, toMs: number): boolean =>
  value !== null && value >= fromMs - clockMs && value <= toMs + clockMs

const isSentAt = (found: number | null, sentAt: number | undefined, sinceMs: number): boolean =>
  sentAt === undefined ? isWithin(found, sinceMs, Date.now()) : found === sentAt

/** Where the senders can be answered, by name: the hosts that a row of theirs may have. */
export type Hosts = { readonly [sender: string]: readonly string[] }

export type Check = {
  readonly ledger: Ledger
  readonly expected: Expected
  readonly hosts: Hosts
  readonly port: number
}

/** What is missing, duplicated, out of order, changed or unknown in what has arrived. */
export function problemsOf(arrived: Iterable<Arrived>, check: Check): string[] {
  const { ledger, expected, hosts, port } = check
  const lists = Object.entries(expected).map(([sender, numbers]) => {
    return [sender, typeof numbers === 'number' ? range(1, numbers) : numbers] as const
  })
  const wanted = new Set(lists.flatMap(([sender, list]) => list.map((n) => keyOf(sender, n))))
  const tiny = tinyByToken(ledger, lists)
  const received = new Set<string>()
  const highest = new Map<string, number>()
  const problems: string[] = []
  for (const row of arrived) {
    const name = nameIn(row, tiny)
    const key = name === undefined ? '' : keyOf(name.sender, name.number)
    if (name === undefined || !wanted.has(key)) {
      const start = JSON.stringify(latin1(row.bytes))
      problems.push(`unknown: ${key} ${start}, token ${JSON.stringify(row.token.slice(0, 40))}`)
      continue
    }
    const { sender, number } = name
    const last = highest.get(sender) ?? 0
    if (received.has(key)) problems.push(`duplicate: ${key}`)
    else if (number < last) problems.push(`out of order: ${key} after ${last}`)
    received.add(key)
    highest.set(sender, Math.max(last, number))
    problems.push(...ledger.differences(key, row).map((what) => `changed: ${key}: ${what}`))
    if (hosts[sender]?.includes(row.host) !== true || row.port !== port) {
      const own = hosts[sender]?.join(' or ') ?? 'nobody'
      problems.push(`wrong host: ${key} is from ${row.host}:${row.port} and not from ${own}`)
    }
  }
  for (const key of wanted) if (!received.has(key)) problems.push(`missing: ${key}`)
  return problems
}

const namePattern = /^(\w+):(\d+):/
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1', 0, 40)

type Name = { readonly sender: string; readonly number: number }

/** The tiny messages that must arrive, by the token of their run, in order. */
function tinyByToken(
  ledger: Ledger,
  lists: readonly (readonly [string, readonly number[]])[],
): Map<string, Name[]> {
  const names = lists.flatMap(([sender, list]) => list.map((number) => ({ sender, number })))
  const tokens = Map.groupBy(names, ({ sender, number }) => ledger.tokenOf(sender, number) ?? '')
  return new Map(Array.from(tokens).filter(([token]) => token.startsWith(tinyToken)))
}

function nameIn({ bytes, token }: Arrived, tiny: Map<string, Name[]>): Name | undefined {
  if (token.startsWith(tinyToken)) return tiny.get(token)?.shift()
  const [, sender, digits] = namePattern.exec(latin1(bytes)) ?? []
  return sender === undefined ? undefined : { sender, number: Number(digits) }
}

const insertSql = `INSERT INTO mqout (host, port, token, headers, data, created_at)
  VALUES (?, ?, ?, ?, ?, ?)`

/** Inserts messages as one transaction, and notes what the outbox has made of them. */
export function insertMessages(
  db: Database.Database,
  ledger: Ledger,
  to: { readonly host: string; readonly port: number },
  messages: readonly Message[],
): void {
  const insert = db.prepare(insertSql)
  db.transaction(() => {
    for (const message of messages) {
      const { sender, number, token, headers, isText, bytes } = message
      const data = isText ? Buffer.from(bytes).toString() : bytes
      const values = [to.host, to.port, token, headers, data, ledger.noteTime(message)]
      ledger.noteId(sender, number, Number(insert.run(...values).lastInsertRowid))
    }
  })()
}

const arrivedSql = `SELECT host, port, token, headers, upper(typeof(data)) AS type,
  coalesce(CAST(data AS BLOB), x'') AS bytes, sent_at AS sentAt, arrived_at AS arrivedAt,
  sender_row AS senderRow
  FROM mqin ORDER BY id`

/** The rows of an inbox, in order, one at a time. */
export function* arrivedAt(database: string): Generator<Arrived> {
  const db = new Database(database, { readonly: true })
  try {
    yield* db.prepare<[], Arrived>(arrivedSql).iterate()
  } finally {
    db.close()
  }
}
