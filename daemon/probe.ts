/**
 * Asks a daemon of this machine for a sign of life over its UDP port: a greeting in a version that
 * nobody speaks, which every daemon answers with the versions that it does (PROTOCOL §3.5), without
 * a session and without any state. Must never send anything that opens one.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import type { Address } from './protocol/node-io.ts'
import { decodePacket, hello1Bytes, toConnectionId } from './protocol/packet.ts'

const helloType = 0x10
/** Of the version nobody will ever speak: in every version the first ten bytes are the same. */
const noVersion = 0xff

/** A datagram or its answer may be lost when the system is short of buffers. */
const repeatMs = 250

/** Whether an answer comes within this time; `address` as the daemon announced it. */
export async function isAnswering(address: Address, withinMs: number): Promise<boolean> {
  return (await signOfLife(address, withinMs)) === 'answer'
}

/** `{ code }`: the system of this machine does not send there, and says why. */
export type SignOfLife = 'answer' | 'silence' | { readonly code: string }

export async function signOfLife({ ip, port }: Address, withinMs: number): Promise<SignOfLife> {
  const scid = randomBytes(8)
  const hello = Buffer.alloc(hello1Bytes)
  hello.set([helloType, noVersion, ...scid])
  const target = reachable(ip)
  const socket = createSocket(target.includes(':') ? 'udp6' : 'udp4')
  const { promise, resolve } = Promise.withResolvers<SignOfLife>()
  let unsent: SignOfLife | undefined
  socket.on('message', (bytes, from) => {
    const packet = decodePacket(bytes)
    if (from.port !== port || packet?.type !== 'versions') return
    if (packet.dcid === toConnectionId(scid)) resolve('answer')
  })
  // The system cannot send at all: the time runs out.
  socket.on('error', () => {})
  const ask = (): void =>
    socket.send(hello, port, target, (error: NodeJS.ErrnoException | null) => {
      unsent = error === null ? undefined : { code: error.code ?? error.message }
    })
  const repeat = setInterval(ask, repeatMs)
  const end = setTimeout(() => resolve(unsent ?? 'silence'), withinMs)
  ask()
  try {
    return await promise
  } finally {
    clearInterval(repeat)
    clearTimeout(end)
    socket.close()
  }
}

/** Who listens on every address is asked on the one that every machine has. */
function reachable(ip: string): string {
  return ip === '::' || ip === '0.0.0.0' ? '127.0.0.1' : ip
}
