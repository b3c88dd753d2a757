/**
 * Which connections HTTP has, and what each may take: bounds for all together and for each address,
 * so that neither memory nor the thread of the network goes to whoever asks most. Never closes a
 * connection that is being answered.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { fromSocket } from '../ip.ts'
import { sourceOf } from '../protocol/shares.ts'
import { AddressRates } from './address-rates.ts'

/** In all. One more closes the oldest that waits, of the address that has most of these. */
const connectionsMax = 128
/** Being answered at a time: the rest is for connections that are new, and for signs of life. */
const answersMax = 64
/** Of these for one address: the page of another has some too. */
const answersOfAddressMax = 48
/** Requests of one address a second, and at once: a page asks a few times a second. */
const requestsPerSecond = 100
const requestsBurst = 300
/** New connections: more, so that signs of life are served beside somebody who makes many. */
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
