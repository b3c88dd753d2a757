/**
 * Every attack that a peer can make, each at a pace of its own, in a thread, until it is ended.
 * Must never stop at an attack that the daemon has repelled: it begins again.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, Worker, workerData } from 'node:worker_threads'
import type { Frame } from '../../daemon/protocol/codec/frame.ts'
import type { Key } from '../../daemon/protocol/crypto/handshake.ts'
import { encodeMessageHead, encodeSkip } from '../../daemon/store/record.ts'
import { Writer } from '../../daemon/protocol/codec/buffer.ts'
import { HostilePeer, messageRecord, random } from './hostile-peer.ts'

type HostileOrder = {
  readonly port: number
  /** A key that the daemon knows. */
  readonly key: Key
  /** The id of the honest peers' databases: the attacker has seen them. */
  readonly databaseIds: readonly Uint8Array[]
}

/** How often each attack was made, and how often the daemon let it begin. */
export type HostileReport = Readonly<Record<string, { made: number; begun: number }>>

/** One that goes on until `end` is called, which gives its report. */
export class HostilePeers {
  readonly #worker: Worker

  constructor(order: HostileOrder) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: order })
  }

  async end(): Promise<HostileReport> {
    const { promise, resolve, reject } = Promise.withResolvers<HostileReport>()
    this.#worker.once('message', resolve)
    this.#worker.once('error', reject)
    this.#worker.postMessage('end', [])
    const report = await promise
    await this.terminate()
    return report
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }
}

type Attack = {
  /** Between two of them. */
  readonly everyMs: number
  readonly make: (order: HostileOrder) => Promise<boolean>
}

const piecesPerPacket = 256
const kept: HostilePeer[] = []
const keptMax = 1_500

/** Sessions stay open until there are very many of them. */
function keep(peer: HostilePeer): void {
  kept.push(peer)
  if (kept.length > keptMax) kept.shift()?.end()
}

async function opened(
  { port, key }: HostileOrder,
  options: { readonly databaseId?: Uint8Array; readonly confirmed?: number } = {},
): Promise<HostilePeer | undefined> {
  const peer = await HostilePeer.begin(port, key)
  if (peer === undefined) return undefined
  keep(peer)
  return (await peer.open(options)) ? peer : undefined
}

/** Single bytes with a gap before each. */
function pieces(first: number): Frame[] {
  return Array.from({ length: piecesPerPacket }, (_, at) => {
    const offset = 2 + 2 * (first + at)
    return { type: 'stream', offset, bytes: Uint8Array.of(7) }
  })
}

const attacks: Readonly<Record<string, Attack>> = {
  'sessions without an OPEN': {
    everyMs: 20,
    make: async ({ port, key }) => {
      const peer = await HostilePeer.begin(port, key)
      peer?.send({ type: 'ping' })
      if (peer !== undefined) keep(peer)
      return peer !== undefined
    },
  },
  'pieces of one byte': {
    everyMs: 200,
    make: async (order) => {
      const peer = await opened(order)
      for (let at = 0; at < 16; at++) peer?.send(...pieces(at * piecesPerPacket))
      return peer !== undefined
    },
  },
  'the same pieces again and again': {
    everyMs: 500,
    make: async (order) => {
      const peer = await opened(order)
      for (let at = 0; at < 40; at++) {
        peer?.send(...pieces(0))
        await sleep(5)
      }
      return peer !== undefined
    },
  },
  'a new stream and database id each time': {
    everyMs: 50,
    make: async (order) => {
      const peer = await opened(order)
      const bytes = messageRecord(order.key.name, random(100))
      peer?.send({ type: 'stream', offset: 0, bytes })
      return peer !== undefined
    },
  },
  'claims of a restore under the database ids of others': {
    everyMs: 100,
    make: async (order) => {
      const databaseId = order.databaseIds[randomInt(order.databaseIds.length)] ?? random(16)
      return (await opened(order, { databaseId, confirmed: 2 ** 40 })) !== undefined
    },
  },
  'a thousand skipped sequences': {
    everyMs: 100,
    make: async (order) => {
      const peer = await opened(order)
      const writer = new Writer(17_000)
      encodeSkip(writer, random(16 * 1_000))
      peer?.send({ type: 'stream', offset: 0, bytes: writer.written })
      return peer !== undefined
    },
  },
  'bodies that never end': {
    everyMs: 250,
    make: async (order) => {
      const peer = await opened(order)
      const head = new Writer(20)
      encodeMessageHead(head, 200_000_000)
      peer?.send({ type: 'stream', offset: 0, bytes: head.written })
      for (let at = 0; at < 4; at++) {
        peer?.send({ type: 'stream', offset: head.length + at * 40_000, bytes: random(40_000) })
      }
      return peer !== undefined
    },
  },
  'a record that cannot be': {
    everyMs: 100,
    make: async (order) => {
      const peer = await opened(order)
      peer?.send({ type: 'stream', offset: 0, bytes: randomBytes(1_000) })
      return peer !== undefined
    },
  },
  'its own packets sent back to the daemon': {
    everyMs: 20,
    make: async () => {
      const peer = kept[randomInt(Math.max(1, kept.length))]
      const { heard } = peer ?? {}
      if (heard !== undefined) peer?.sendRaw(heard)
      return heard !== undefined
    },
  },
  'a HELLO1 without a key': {
    everyMs: 50,
    make: async ({ port }) => (await HostilePeer.begin(port, undefined)) !== undefined,
  },
}

const report: Record<string, { made: number; begun: number }> = {}

/** Until the thread is ended. */
async function goOn(name: string, { everyMs, make }: Attack, order: HostileOrder): Promise<void> {
  const tally = { made: 0, begun: 0 }
  report[name] = tally
  for (;;) {
    tally.made++
    if (await make(order)) tally.begun++
    await sleep(everyMs)
  }
}

if (workerData !== null && parentPort !== null) {
  const order = workerData as HostileOrder
  parentPort.once('message', () => parentPort?.postMessage(report, []))
  await Promise.all(
    Object.entries(attacks).map(async ([name, attack]) => goOn(name, attack, order)),
  )
}
