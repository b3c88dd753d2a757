/**
 * A peer that wants harm: a session of its own with a daemon, made with the project's codec, and
 * what an honest peer never sends. Must never wait for a daemon that does not answer.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeEnvironment } from '../../daemon/node-crypto.ts'
import { decodeFrames, encodeFrame, type Frame } from '../../daemon/protocol/codec/frame.ts'
import { InitiatorHandshake, type Key } from '../../daemon/protocol/crypto/handshake.ts'
import { decodePacket, toConnectionId } from '../../daemon/protocol/codec/packet.ts'
import { encodeMessage } from '../../daemon/store/record.ts'
import type { SessionKeys } from '../../daemon/protocol/crypto/packet-protection.ts'
import { Writer } from '../../daemon/protocol/codec/buffer.ts'

const environment = nodeEnvironment()
/** Without its 31 bytes of header and tag the shortest packet that may ask for an answer. */
const plainBytesMin = 128 - 31
const plainBytesMax = 60_000
const answerMs = 1_000

export const random = (bytes: number): Uint8Array => environment.randomBytes(bytes)

/** The record of one message. */
export function messageRecord(token: string, data: Uint8Array): Uint8Array {
  const writer = new Writer(data.length + 100)
  const head = { uid: random(16), isText: true, row: 1, timeMs: Date.now(), token }
  encodeMessage(writer, { ...head, headers: undefined, digest: undefined, data })
  return writer.written
}

export class HostilePeer {
  readonly #port: number
  readonly #socket: Socket
  readonly #handshake: InitiatorHandshake
  readonly #scid = toConnectionId(random(8))
  /** What the daemon has sent last: to be sent back to it. */
  heard: Uint8Array | undefined
  #keys: SessionKeys | undefined
  #isOpened = false
  #isClosed = false

  private constructor(port: number, socket: Socket, key: Key | undefined) {
    this.#port = port
    this.#socket = socket
    this.#handshake = new InitiatorHandshake(environment, this.#scid, key)
    socket.on('message', (bytes) => this.#onDatagram(new Uint8Array(bytes)))
  }

  /** A session with the daemon at this port of 127.0.0.1; undefined: it does not answer. */
  static async begin(port: number, key: Key | undefined): Promise<HostilePeer | undefined> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const peer = new HostilePeer(port, socket, key)
    const isBegun = await peer.#until(() => peer.#keys !== undefined, peer.#handshake.hello1())
    if (isBegun) return peer
    peer.end()
    return undefined
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** What an OPEN says; `confirmed` may claim what never was. Resolves with whether it is taken. */
  async open(
    options: { readonly databaseId?: Uint8Array; readonly confirmed?: number } = {},
  ): Promise<boolean> {
    const { databaseId = random(16), confirmed = 0 } = options
    const open = {
      type: 'open',
      databaseId,
      stream: random(16),
      confirmed,
      host: '',
      port: 0,
    } as const
    const datagram = this.#seal([open])
    return datagram !== undefined && this.#until(() => this.#isOpened, datagram)
  }

  send(...frames: readonly Frame[]): void {
    const datagram = this.#seal(frames)
    if (datagram !== undefined) this.sendRaw(datagram)
  }

  sendRaw(datagram: Uint8Array): void {
    if (!this.#isClosed) this.#socket.send(datagram, this.#port, '127.0.0.1')
  }

  end(): void {
    if (!this.#isClosed) this.#socket.close()
    this.#isClosed = true
  }

  #seal(frames: readonly Frame[]): Uint8Array | undefined {
    const writer = new Writer(plainBytesMax)
    for (const frame of frames) encodeFrame(writer, frame)
    writer.zeros(Math.max(0, plainBytesMin - writer.length))
    return this.#keys?.seal(writer.written)
  }

  async #until(isSo: () => boolean, datagram: Uint8Array): Promise<boolean> {
    const endMs = performance.now() + answerMs
    this.sendRaw(datagram)
    while (!isSo() && !this.#isClosed && performance.now() < endMs) await sleep(5)
    return isSo()
  }

  #onDatagram(bytes: Uint8Array): void {
    this.heard = bytes
    const packet = decodePacket(bytes)
    if (packet?.type === 'retry') {
      if (this.#handshake.onCookie(packet.cookie)) this.sendRaw(this.#handshake.hello1())
    } else if (packet?.type === 'hello2') {
      this.#keys ??= this.#handshake.finish(packet)
    } else if (packet?.type === 'data') {
      const plain = this.#keys?.open(packet)
      for (const { type } of (plain && decodeFrames(plain, 'responder')) ?? []) {
        if (type === 'opened') this.#isOpened = true
        if (type === 'close') this.end()
      }
    }
  }
}
