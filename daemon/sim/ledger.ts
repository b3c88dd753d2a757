/**
 * What applications have put in, and what has become of each message as far as somebody outside
 * could see it: the memory that the checkers judge by. Must never look at what the daemon believes.
 */
import { SeededRandom } from '../protocol/testing/seeded-random.ts'
import { expect } from './violation.ts'

/** One message, whatever copies of its row there are. */
export type Entry = {
  readonly number: number
  /** The machine that it was put in on. */
  readonly sender: string
  readonly id: number
  readonly uid: Buffer
  readonly token: string
  readonly isText: boolean
  readonly bytes: number
  readonly createdAtMs: number
  host: string
  /** It may be missing: its owner deleted it, or a restore took it back. */
  isExcused: boolean
  /** It may come behind rows with higher ids: rerouted, refused for a while, an id by hand. */
  isDisplaced: boolean
  /** Why it must not come, if it must not. */
  stopped: string | undefined
  /** Machines where it is, or was, in the inbox: seen there, and there on the platter. */
  readonly seenAt: Set<string>
  readonly storedAt: Set<string>
}

export type NewEntry = Pick<Entry, 'sender' | 'token' | 'isText' | 'bytes' | 'createdAtMs' | 'host'>

const patternBytes = 97

export class Ledger {
  readonly #entries = new Map<number, Entry>()
  readonly #random: SeededRandom
  /** Files of senders were copied or restored: then less can be told (PROTOCOL §7.6). */
  hasCopies = false
  /** A database was put back to an earlier state or removed. */
  hasReplaced = false
  /** Machines whose database was removed, and with it all that they could tell of lost rows. */
  readonly removed = new Set<string>()
  /** Messages that an inbox had and lost with its file. */
  readonly lost = new Set<number>()
  /**
   * Those that were lost when the file had been replaced before: perhaps before a row was confirmed
   * in the stream that began then, and nobody can notice (PROTOCOL §7.6).
   */
  readonly lostAgain = new Set<number>()

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values()
  }

  get size(): number {
    return this.#entries.size
  }

  /** The number that the next message carries in its headers. */
  get nextNumber(): number {
    return this.#entries.size + 1
  }

  add(id: number, uid: Buffer, entry: NewEntry): Entry {
    const added: Entry = {
      ...entry,
      number: this.nextNumber,
      id,
      uid,
      isExcused: false,
      isDisplaced: false,
      stopped: undefined,
      seenAt: new Set(),
      storedAt: new Set(),
    }
    this.#entries.set(added.number, added)
    return added
  }

  find(number: number): Entry | undefined {
    return this.#entries.get(number)
  }

  get(number: number): Entry {
    const entry = this.#entries.get(number)
    expect(entry !== undefined, 'content', () => `Somebody has sent message ${number}.`)
    return entry
  }

  newUid(): Buffer {
    return Buffer.from(Array.from({ length: 16 }, () => this.#random.below(256)))
  }
}

/** The data of a message, which follow from its number. */
export function dataOf(number: number, bytes: number): Buffer {
  const random = new SeededRandom(number)
  const pattern = Buffer.from(Array.from({ length: patternBytes }, () => 32 + random.below(95)))
  return Buffer.alloc(bytes, pattern)
}

export function headersOf(number: number): string {
  return `{"n":${number}}`
}

/** The reverse of `headersOf`. */
export function numberOf(headers: string | null): number {
  const number = Number(/^\{"n":(\d+)\}$/.exec(headers ?? '')?.[1])
  expect(Number.isInteger(number), 'content', () => `Headers arrive as sent: ${headers}`)
  return number
}
