/**
 * `api/events`: an overview a second to everybody who listens, worked out once. Must never work
 * when nobody listens, nor keep what a slow listener has not taken.
 */
import type { Overview } from './api-types.ts'

const everyMs = 1_000
const streamsMax = 32
/** A listener that takes nothing for so long has gone. */
const patienceMs = 30_000
const retryMs = 2_000

type Stream = {
  readonly controller: ReadableStreamDefaultController<Uint8Array>
  takenMs: number
}

export class EventStreams {
  readonly #overview: () => Promise<Overview>
  readonly #streams = new Set<Stream>()
  #timer: NodeJS.Timeout | undefined
  #isTelling = false

  constructor(overview: () => Promise<Overview>) {
    this.#overview = overview
  }

  get count(): number {
    return this.#streams.size
  }

  /** Undefined when there are too many. */
  open(): ReadableStream<Uint8Array> | undefined {
    if (this.#streams.size >= streamsMax) return undefined
    let stream: Stream | undefined
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          stream = { controller, takenMs: performance.now() }
          this.#streams.add(stream)
          controller.enqueue(encode(`retry: ${retryMs}\n\n`))
          this.#begin()
        },
        cancel: () => {
          if (stream !== undefined) this.#remove(stream)
        },
      },
      // Nothing is kept but what is on its way.
      { highWaterMark: 2 },
    )
  }

  /** Ends every stream. */
  stop(): void {
    for (const stream of this.#streams) this.#close(stream)
  }

  #begin(): void {
    void this.#tell()
    this.#timer ??= setInterval(() => void this.#tell(), everyMs)
  }

  async #tell(): Promise<void> {
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      const overview = await this.#overview()
      this.#send(encode(`event: overview\ndata: ${JSON.stringify(overview)}\n\n`))
    } catch {
      // The tables cannot be read at this moment, and `api/overview` says why. A comment shows that
      // somebody is there.
      this.#send(encode(': the tables cannot be read\n\n'))
    } finally {
      this.#isTelling = false
    }
  }

  #send(bytes: Uint8Array): void {
    const nowMs = performance.now()
    for (const stream of this.#streams) {
      if ((stream.controller.desiredSize ?? 0) > 0) {
        stream.takenMs = nowMs
        stream.controller.enqueue(bytes)
      } else if (nowMs - stream.takenMs > patienceMs) this.#close(stream)
    }
  }

  #close(stream: Stream): void {
    this.#remove(stream)
    try {
      stream.controller.close()
    } catch {
      // It was cancelled at this moment.
    }
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream)
    if (this.#streams.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

const encoder = new TextEncoder()
const encode = (text: string): Uint8Array => encoder.encode(text)
