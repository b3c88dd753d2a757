/**
 * Which connections HTTP has, and what each may take: bounds for all together and for each address,
 * so that neither memory nor the thread of the network goes to whoever asks most. Never closes a
 * connection that is being answered.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { fromSocket } from '../platform/net/ip.ts'
import { sourceOf } from '../protocol/shares.ts'

/** In all. One more closes the oldest that waits, of the address that has most of these. */
const connectionsMax = 128
/** Being answered at a time: the rest is for connections that are new, and for signs of life. */
const answersMax = 64
/** Of these for one address: the page of another has some too. */
const answersOfAddressMax = 48
/** Requests of one address a second, and at once: a page asks a few times a second. */
const requestsPerSecond = 100
const requestsBurst = 300
/** New connections: more, so that signs of life are served next to somebody who makes many. */
const connectionsPerSecond = 500
/** Of connections, for a request before the answer to the one before: no browser sends that. */
const pipelinedCost = 50

export type Rejection = 'HTTP_PIPELINED' | 'HTTP_RATE' | 'HTTP_BUSY'

type Connection = {
  readonly address: string
  /** The newest answer on it. */
  response: ServerResponse | undefined
}

export class HttpConnections {
  readonly #connections = new Map<Socket, Connection>()
  readonly #made = new AddressRates(connectionsPerSecond, connectionsPerSecond)
  readonly #asked = new AddressRates(requestsPerSecond, requestsBurst)

  get count(): number {
    return this.#connections.size
  }

  /** Takes a connection that has just come. @returns false: it was too much, and is closed. */
  add(socket: Socket, nowMs: number): boolean {
    const address = addressOf(socket)
    if (!this.#made.take(address, 1, nowMs)) {
      socket.destroy()
      return false
    }
    if (this.#connections.size >= connectionsMax) this.#evict()
    this.#connections.set(socket, { address, response: undefined })
    socket.once('close', () => this.#connections.delete(socket))
    return true
  }

  /**
   * A request has come. A sign of life may be asked for whoever else is answered.
   * @returns why it may not be answered. When it came too early, the connection is closed already.
   */
  begin(
    socket: Socket,
    response: ServerResponse,
    isSignOfLife: boolean,
    nowMs: number,
  ): Rejection | undefined {
    const connection = this.#connections.get(socket)
    // What is left of a burst whose connection is closed.
    if (connection === undefined) return 'HTTP_PIPELINED'
    const { address } = connection
    if (isBeingAnswered(connection)) {
      this.#made.take(address, pipelinedCost, nowMs)
      this.#connections.delete(socket)
      socket.destroy()
      return 'HTTP_PIPELINED'
    }
    const rejection = isSignOfLife ? undefined : this.#rejectionOf(address, nowMs)
    connection.response = response
    return rejection
  }

  #rejectionOf(address: string, nowMs: number): Rejection | undefined {
    if (!this.#asked.take(address, 1, nowMs)) return 'HTTP_RATE'
    return this.#isBusy(address) ? 'HTTP_BUSY' : undefined
  }

  #isBusy(address: string): boolean {
    const answered = [...this.#connections.values()].filter(isBeingAnswered)
    const ofAddress = answered.filter((one) => one.address === address)
    return answered.length >= answersMax || ofAddress.length >= answersOfAddressMax
  }

  /** There is always one to close: fewer are answered than there may be. */
  #evict(): void {
    const waiting = [...this.#connections].filter(([, one]) => !isBeingAnswered(one))
    const counts = new Map<string, number>()
    for (const [, { address }] of waiting) counts.set(address, (counts.get(address) ?? 0) + 1)
    const most = Math.max(...counts.values())
    const oldest = waiting.find(([, { address }]) => counts.get(address) === most)
    if (oldest === undefined) return
    this.#connections.delete(oldest[0])
    oldest[0].destroy()
  }
}

function isBeingAnswered({ response }: Connection): boolean {
  return response !== undefined && !response.writableEnded && !response.destroyed
}

/** Who is charged. */
export const addressOf = ({ remoteAddress }: Socket): string =>
  sourceOf(fromSocket(remoteAddress ?? ''))

// So many events a second for each address, and some more at once. Must never remember more
// addresses than it may, whoever sends from many.

/** The oldest is forgotten, and has all at once again. */
const addressesMax = 1_024

type Bucket = { readonly tokens: number; readonly atMs: number }

class AddressRates {
  readonly #buckets = new Map<string, Bucket>()
  readonly #perSecond: number
  readonly #burst: number

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  /** An event that counts for `cost`. @returns false: it is too many. */
  take(address: string, cost: number, nowMs: number): boolean {
    const { tokens, atMs } = this.#buckets.get(address) ?? { tokens: this.#burst, atMs: nowMs }
    const filled = Math.min(this.#burst, tokens + ((nowMs - atMs) * this.#perSecond) / 1_000)
    // Deleted first, it becomes the newest.
    this.#buckets.delete(address)
    this.#buckets.set(address, { tokens: Math.max(0, filled - cost), atMs: nowMs })
    if (this.#buckets.size > addressesMax) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return filled >= cost
  }
}

// Gives node:http the bytes of a connection one request at a time: the next one when the answer to
// the one before has left. By itself node:http takes all that a packet has, makes objects of a
// thousand requests at once, and has them answered together. Must never hold more than one packet.

const blankLine = '\r\n\r\n'

export class RequestFeed {
  readonly #socket: Socket
  readonly #give: (bytes: Buffer) => void
  #held: Buffer | undefined
  /** The end of what was given, in which a blank line may have begun. */
  #tail: Buffer = Buffer.alloc(0)
  #isAnswering = false

  /** After node:http has taken the connection. Its listener gets what this one lets through. */
  constructor(socket: Socket) {
    this.#socket = socket
    const [listener] = socket.listeners('data') as ((bytes: Buffer) => void)[]
    this.#give = listener ?? (() => {})
    if (listener !== undefined) socket.off('data', listener)
    socket.on('data', (bytes) => this.#onBytes(bytes))
  }

  /** A request is complete. Nothing more is given until `response` has left. */
  hold(response: ServerResponse): void {
    this.#isAnswering = true
    response.once('finish', () => {
      this.#isAnswering = false
      this.#goOn()
    })
  }

  #onBytes(bytes: Buffer): void {
    this.#held = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes])
    this.#goOn()
  }

  #goOn(): void {
    // A connection that was answered for the last time takes nothing more.
    while (this.#held !== undefined && !this.#isAnswering && this.#socket.writable) {
      const piece = this.#piece(this.#held)
      const rest = this.#held.subarray(piece.length)
      this.#held = rest.length === 0 ? undefined : rest
      this.#give(piece)
    }
    if (this.#held === undefined) this.#socket.resume()
    else this.#socket.pause()
  }

  /** To the end of the first head in it; all of it when none ends there. */
  #piece(bytes: Buffer): Buffer {
    const begun = this.#tail.length
    const straddling = Buffer.concat([this.#tail, bytes.subarray(0, 3)]).indexOf(blankLine)
    const within = straddling === -1 ? bytes.indexOf(blankLine) : straddling - begun
    const isHead = straddling >= 0 || within >= 0
    const piece = isHead ? bytes.subarray(0, within + blankLine.length) : bytes
    this.#tail = isHead ? Buffer.alloc(0) : Buffer.concat([this.#tail, piece.subarray(-3)])
    if (this.#tail.length > 3) this.#tail = this.#tail.subarray(-3)
    return piece
  }
}
