/**
 * Fuzzing of the real store with what a peer may choose who has opened a session: streams, records
 * whole and mutated in pieces of any length, answers to an OPEN. It must not throw, watermarks must
 * not fall, and the database must stay one that everybody can read.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import type { OpenedFacts, SessionId, StoreResult } from '../../daemon/protocol/store-messages.ts'
import { mutated } from '../support/hostile.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { Machine } from '../simulator/store/machine.ts'
import { insert, World } from '../simulator/store/world.ts'
import { open } from '../../sdk/index.ts'
import { count, type Counts } from './fuzz-cluster.ts'
import { hostileRecord } from './hostile-record.ts'

const ids = 4
const recordsMax = 30
const rows = 50

export class StoreFuzz {
  readonly tally: Counts = new Map()
  records = 0
  readonly #machine: Machine
  readonly #random: SeededRandom
  readonly #watermarks = new Map<string, number>()
  #session: SessionId = 0
  #numbers = 0

  /** @param directory is the caller's to remove. */
  constructor(directory: string, seed: number, random: SeededRandom) {
    this.#machine = World.in(directory, seed).machine()
    this.#random = random
    for (let row = 0; row < rows; row++) insert(this.#machine, `b${row % ids}`, `row ${row}`)
    this.#machine.run({ type: 'scan' })
  }

  run(records: number): void {
    while (this.records < records) {
      if (this.#random.chance(0.7)) this.#receive()
      else this.#answer()
    }
  }

  /** @throws AssertionError when the database cannot be read as ever. */
  end(): void {
    const { path, user } = this.#machine
    equal(user.pragma('integrity_check', { simple: true }), 'ok')
    for (const view of ['mqstatus', 'mqpeers']) user.prepare(`SELECT * FROM ${view}`).all()
    using mq = open(path)
    const read = Array.from(mq.readInbox(), ({ id }) => id)
    deepEqual(read, user.prepare('SELECT id FROM mqin ORDER BY id').pluck().all())
    count(this.tally, 'rows in the inbox', read.length)
    this.#machine.close()
  }

  #id(): Uint8Array {
    return new Uint8Array(16).fill(this.#random.below(ids))
  }

  /** A session of a peer that sends. */
  #receive(): void {
    const random = this.#random
    const session = ++this.#session
    const stream = this.#id()
    const key = random.one(['', 'k'])
    this.#machine.run({
      type: 'accept',
      session,
      key,
      databaseId: this.#id(),
      stream,
      confirmed: random.one([0, 1, 2 ** 40, Number.MAX_SAFE_INTEGER]),
      mustBeKnown: random.one([false, true]),
      host: random.one(['', 'b', '\0', 'ü'.repeat(100), "'; --"]),
      port: random.below(65_536),
    })
    const accepted = this.#machine.take(session)
    ok(accepted !== undefined, 'An OPEN is answered.')
    count(this.tally, accepted.type)
    if (accepted.type === 'accepted') {
      const name = `${key} ${stream.join()}`
      ok(accepted.watermark >= (this.#watermarks.get(name) ?? 0), 'A watermark never falls.')
      this.#watermarks.set(name, Math.max(accepted.watermark, this.#bytes(session)))
    }
    this.#machine.run({ type: 'release-session', session })
  }

  /** @returns up to what the store said that it has everything. */
  #bytes(session: SessionId): number {
    const random = this.#random
    let offset = 0
    let watermark = 0
    for (let left = random.below(recordsMax); left >= 0; left--) {
      this.records++
      const record = hostileRecord(random, ++this.#numbers)
      const bytes = random.chance(0.05) ? mutated(record, random) : record
      for (let start = 0; start < bytes.length;) {
        const piece = bytes.slice(start, start + 1 + random.below(400))
        const spillBytes = random.one([0, 100, 1_048_576])
        this.#machine.run({ type: 'receive', session, offset, bytes: piece, spillBytes })
        offset += piece.length
        start += piece.length
      }
      for (
        let reported = this.#next(session);
        reported !== undefined;
        reported = this.#next(session)
      ) {
        if (reported.type === 'received') watermark = reported.sequence
        if (reported.type === 'rejected') return watermark
      }
    }
    return watermark
  }

  #next(session: SessionId): StoreResult | undefined {
    const reported = this.#machine.take(session)
    if (reported !== undefined) {
      const code = reported.type === 'rejected' ? ` with ${reported.code}: ${reported.reason}` : ''
      count(this.tally, reported.type + code)
    }
    return reported
  }

  /** A session of our own, with what its peer says about itself. */
  #answer(): void {
    const random = this.#random
    const session = ++this.#session
    const lane = 1 + random.below(ids)
    this.records++
    this.#machine.run({ type: 'open-lane', lane, session })
    if (this.#next(session)?.type !== 'lane-opened') return
    const wild = (): number => random.one([0, 1, 7, 2 ** 31, Number.MAX_SAFE_INTEGER])
    const opened: OpenedFacts = {
      database: this.#id(),
      watermark: wild(),
      digest: this.#id(),
      part: wild(),
      logStart: wild(),
      messageBytesMax: wild(),
    }
    this.#machine.run({
      type: 'check-identity',
      lane,
      session,
      opened,
      addressIsOwn: random.chance(0.1),
    })
    const identityChecked = this.#next(session)
    if (identityChecked?.type === 'identity-checked')
      count(this.tally, `checked ${identityChecked.decision.type}`)
    this.#machine.run({ type: 'read', session, bytesMax: 1 + random.below(10_000) })
    this.#next(session)
    this.#machine.run({ type: 'release-session', session })
  }
}
