/**
 * One sender, one receiver and a lane between them: the beginning of most tests of the store. Must
 * never be used outside tests.
 */
import { ok } from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { HashChain } from '../../../daemon/store/hash-chain.ts'
import { RecordParser, type RecordEvent } from '../../../daemon/store/record.ts'
import type {
  LaneAddress,
  SessionId,
  StoreResult,
} from '../../../daemon/protocol/store-messages.ts'
import { LaneLink } from './lane-link.ts'
import { realEnvironment } from '../../../daemon/store/connection.ts'
import type { Machine } from './machine.ts'
import { insert, lanesOf, World } from './world.ts'

const { sha256 } = realEnvironment

export type Pair = { readonly world: World; readonly sender: Machine; readonly receiver: Machine }

export function pairOf(t: TestContext, seed = 1): Pair {
  const world = World.of(t, seed)
  const sender = world.machine()
  const receiver = world.machine()
  t.after(() => {
    sender.close()
    receiver.close()
  })
  return { world, sender, receiver }
}

/** The lane to `host`, found by a scan or an earlier one. */
export function laneTo(sender: Machine, host = 'b'): LaneAddress {
  lanesOf(sender)
  const [row] = sender.all('SELECT id FROM mqlane WHERE host = ?', host)
  ok(row !== undefined, 'the scan has found the lane')
  return { lane: Number(row['id']), host, port: 9000, key: '' }
}

export function linkOf({ sender, receiver }: Pair, host = 'b'): LaneLink {
  return new LaneLink({ from: sender, to: receiver, lane: laneTo(sender, host) })
}

/** Sends these, and everything else that waits for b. */
export function deliver(pair: Pair, ...data: (string | Uint8Array)[]): void {
  for (const one of data) insert(pair.sender, 'b', one)
  const link = linkOf(pair)
  link.settle()
  link.drop()
}

export function inboxOf(receiver: Machine): unknown[] {
  return receiver.all('SELECT data FROM mqin ORDER BY id').map(({ data }) => data)
}

export function eventsOf(machine: Machine): string[] {
  return machine.all('SELECT code FROM mqevent ORDER BY id').map(({ code }) => String(code))
}

let lastSession = 1_000_000

/** A session of the sender alone: what the receiver would say is reported by the test. */
export class ReaderAlone {
  readonly #sender: Machine
  readonly #lane: LaneAddress
  readonly session: SessionId
  readonly stream: Uint8Array
  readonly #parser = new RecordParser(268_435_456)

  constructor(sender: Machine, lane: LaneAddress) {
    lastSession++
    this.session = lastSession
    this.#sender = sender
    this.#lane = lane
    sender.run({ type: 'open-lane', lane: lane.lane, session: this.session })
    const opened = sender.take(this.session)
    ok(opened?.type === 'lane-opened')
    this.stream = opened.stream
  }

  /** What the receiver says: that it has what is confirmed, unless the test says something else. */
  checkIdentity(
    opened: Partial<Extract<StoreResult, { type: 'accepted' }>>,
    addressIsOwn = false,
  ): StoreResult | undefined {
    const sql = 'SELECT confirmed, chain FROM mqlane WHERE id = ?'
    const [row] = this.#sender.all(sql, this.#lane.lane)
    const state = row?.['chain']
    const kept = state instanceof Uint8Array ? HashChain.decode(state, sha256) : undefined
    this.#sender.run({
      type: 'check-identity',
      lane: this.#lane.lane,
      session: this.session,
      addressIsOwn,
      opened: {
        database: Buffer.alloc(16, 7),
        watermark: Number(row?.['confirmed']),
        digest: (kept ?? new HashChain(sha256)).digest(),
        part: 0,
        logStart: 0,
        messageBytesMax: 268_435_456,
        ...opened,
      },
    })
    return this.#sender.take(this.session)
  }

  /** The answer to one read, if there is one. */
  read(bytesMax = 65_536): Extract<StoreResult, { type: 'rows' }> | undefined {
    this.#sender.run({ type: 'read', session: this.session, bytesMax })
    return this.rows()
  }

  /** The answer to a read that waited. */
  rows(): Extract<StoreResult, { type: 'rows' }> | undefined {
    const said = this.#sender.take(this.session)
    ok(said === undefined || said.type === 'rows', `a read is answered by ${said?.type}`)
    return said
  }

  /** The records in the bytes of an answer. */
  records(bytes: Uint8Array | undefined): RecordEvent[] {
    return bytes === undefined ? [] : this.#parser.feed(bytes)
  }

  confirm(sequence: number): void {
    this.#sender.run({ type: 'confirmed', session: this.session, sequence })
  }

  forget(): void {
    this.#sender.run({ type: 'release-session', session: this.session })
  }
}

/** As people would read a stream: `1:hello` or `skip 2`. */
export function show(records: readonly RecordEvent[]): string[] {
  return records.map((record) => {
    if (record.type === 'skip') return `skip ${record.uids.length / 16}`
    if (record.type !== 'message') return record.type
    return Buffer.from(record.body)
      .toString('latin1')
      .replace(/^.*token/s, '')
  })
}
