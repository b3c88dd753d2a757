/**
 * An unauthenticated peer that sends junk to one port as fast as it can, of every kind that an
 * unauthenticated peer can make who has listened for a while: he knows a hint, and no key. Runs in
 * a worker. Must never wait for answers; it counts them.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { nodeEnvironment } from '../../daemon/node-crypto.ts'
import { InitiatorHandshake } from '../../daemon/protocol/crypto/handshake.ts'
import { encodePacket, toConnectionId } from '../../daemon/protocol/codec/packet.ts'

export type JunkOrder = {
  readonly port: number
  readonly datagrams: number
  /** A real HELLO1 under a key of the receiver, as it was seen on the wire. */
  readonly overheard: Uint8Array
}

export type JunkReport = {
  readonly sent: number
  readonly bytesSent: number
  readonly answers: number
  readonly bytesAnswered: number
}

/** So many of each kind are made, and sent again and again. */
const variety = 256
const datagramsAtOnce = 64

const kinds: readonly ((overheard: Uint8Array) => Uint8Array)[] = [
  () => randomBytes(randomInt(0, 1_400)),
  () => Buffer.concat([Buffer.of(0x40), randomBytes(randomInt(31, 1_400))]),
  () => hello1(undefined),
  () => hello1(randomBytes(32)),
  // A known hint, and a tag that no key has made.
  (overheard) => flipped(overheard, randomInt(2, 10), randomInt(60, 110)),
  (overheard) => overheard,
  (overheard) => overheard.subarray(0, randomInt(1, overheard.length)),
  (overheard) => flipped(overheard, randomInt(0, overheard.length)),
  () => encodePacket({ type: 'wake' }),
  () => encodePacket({ type: 'unknown', dcid: cid() }),
  () => encodePacket({ type: 'retry', dcid: cid(), cookie: randomBytes(16) }),
  () => encodePacket({ type: 'hello2', dcid: cid(), scid: cid(), noise: randomBytes(48) }),
  () => encodePacket({ type: 'versions', dcid: cid(), versions: randomBytes(16) }),
]

const environment = nodeEnvironment()

const cid = (): ReturnType<typeof toConnectionId> => toConnectionId(randomBytes(8))

function hello1(secret: Uint8Array | undefined): Uint8Array {
  const key = secret && { name: 'outsider', secret }
  return new InitiatorHandshake(environment, cid(), key).hello1()
}

function flipped(bytes: Uint8Array, ...places: readonly number[]): Uint8Array {
  const copy = Uint8Array.from(bytes)
  for (const place of places) copy[place] = (copy[place] ?? 0) ^ (1 << randomInt(0, 8))
  return copy
}

async function flood({ port, datagrams, overheard }: JunkOrder): Promise<JunkReport> {
  const junk = kinds.flatMap((make) => Array.from({ length: variety }, () => make(overheard)))
  const socket = createSocket('udp4')
  let [bytesSent, answers, bytesAnswered] = [0, 0, 0]
  socket.on('message', (bytes) => {
    answers++
    bytesAnswered += bytes.length
  })
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  for (let sent = 0; sent < datagrams; sent++) {
    const bytes = junk[(sent * 17) % junk.length] ?? Buffer.alloc(0)
    socket.send(bytes)
    bytesSent += bytes.length
    if (sent % datagramsAtOnce === 0) await setImmediate()
  }
  await setImmediate()
  socket.close()
  return { sent: datagrams, bytesSent, answers, bytesAnswered }
}

parentPort?.postMessage(await flood(workerData as JunkOrder), [])
