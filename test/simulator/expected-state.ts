/**
 * What applications have put in, and what has become of each message as far as somebody outside
 * could see it: the memory that the checkers check by. Must never look at what the daemon believes.
 */
import { assert } from '../../daemon/protocol/assert.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
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
  readonly headers: string | null
  readonly createdAtMs: number
  host: string
  /** It may be missing: its owner deleted it, or a restore took it back. */
  isExcused: boolean
  /** It may come behind rows with higher ids: rerouted, rejected for a while, an id by hand. */
  isDisplaced: boolean
  /** Why it must not come, if it must not. */
  stopped: string | undefined
  /** Machines where it is, or was, in the inbox: seen there, and there on the durable medium. */
  readonly seenAt: Set<string>
  readonly storedAt: Set<string>
}

export type NewEntry = Pick<Entry, 'sender' | 'token' | 'isText' | 'bytes' | 'headers' | 'host'>

/** More than one run has. Each message is created at a time of its own, which says its number. */
const messagesMax = 4_096

export class Ledger {
  readonly #entries = new Map<number, Entry>()
  readonly #numbers = new Map<string, number>()
  readonly #random: SeededRandom
  /** Files of senders were copied or restored: then less can be reported (PROTOCOL §7.6). */
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

  get nextNumber(): number {
    return this.#entries.size + 1
  }

  add(id: number, uid: Buffer, createdAtMs: number, entry: NewEntry): Entry {
    const added: Entry = {
      ...entry,
      number: this.nextNumber,
      id,
      uid,
      createdAtMs,
      isExcused: false,
      isDisplaced: false,
      stopped: undefined,
      seenAt: new Set(),
      storedAt: new Set(),
    }
    this.#entries.set(added.number, added)
    this.#numbers.set(uid.toString('hex'), added.number)
    return added
  }

  /** The message of a row that is in an outbox. */
  numberOf(uid: Buffer): number {
    const number = this.#numbers.get(uid.toString('hex'))
    expect(number !== undefined, 'content', () => `Somebody has put in ${uid.toString('hex')}.`)
    return number
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

/** When message `number` is created: about `nowMs`, and when no other is. */
export function createdAtOf(number: number, nowMs: number): number {
  assert(number < messagesMax, 'A run has fewer messages than there are times for.')
  return Math.floor(nowMs / messagesMax) * messagesMax + number
}

/** The reverse of `createdAtOf`. */
export function numberAt(createdAtMs: number): number {
  return createdAtMs % messagesMax
}
