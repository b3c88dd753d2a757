/**
 * Gives node:http the bytes of a connection one request at a time: the next one when the answer to
 * the one before has left. By itself node:http takes all that a packet has, makes objects of a
 * thousand requests at once, and has them answered together. Must never hold more than one packet.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

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
