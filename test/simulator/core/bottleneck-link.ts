/**
 * The one narrow place of a simulated path: a queue that drops what does not fit (tail drop),
 * served at a fixed rate, and a wire behind it that loses packets by chance. Flows share it, each
 * with its own delay.
 */
import type { VirtualTime } from './virtual-time.ts'

type BottleneckOptions = {
  readonly bytesPerSecond: number
  /** A packet is dropped when more than this is queued. */
  readonly bufferBytes: number
  /** Part of the packets that the wire loses, each by its own chance. */
  readonly loss: number
}

// The served head of the queue is cut off in pieces, so that no packet costs a shift.
const forgetAfterPackets = 1_024

type Queued = { readonly bytes: number; readonly delayUs: number; readonly deliver: () => void }

export class BottleneckLink {
  readonly #time: VirtualTime
  readonly #options: BottleneckOptions
  readonly #queue: Queued[] = []
  #served = 0
  #queuedBytes = 0
  #busyUntilUs = 0
  #offered = 0
  #dropped = 0
  #queueSumBytes = 0

  constructor(time: VirtualTime, options: BottleneckOptions) {
    this.#time = time
    this.#options = options
  }

  get loss(): number {
    return this.#options.loss
  }

  /** Part of the packets that the queue had no room for. */
  get dropPart(): number {
    return this.#dropped / Math.max(1, this.#offered)
  }

  /** Mean time that a packet found ahead of it. */
  get meanQueueUs(): number {
    const meanBytes = this.#queueSumBytes / Math.max(1, this.#offered)
    return (meanBytes * 1e6) / this.#options.bytesPerSecond
  }

  /** Counts afresh, after a warm-up. */
  resetCounts(): void {
    this.#offered = 0
    this.#dropped = 0
    this.#queueSumBytes = 0
  }

  /** The far end is busy with something else: nothing leaves the queue for so long. */
  pause(pauseUs: number): void {
    this.#busyUntilUs = Math.max(this.#busyUntilUs, this.#time.nowUs) + pauseUs
  }

  /** `deliver` runs after the queue and `delayUs`, unless the packet is dropped or lost. */
  send(bytes: number, delayUs: number, deliver: () => void): void {
    this.#offered++
    this.#queueSumBytes += this.#queuedBytes
    if (this.#queuedBytes > this.#options.bufferBytes) {
      this.#dropped++
      return
    }
    this.#queue.push({ bytes, delayUs, deliver })
    this.#queuedBytes += bytes
    if (this.#queue.length - this.#served === 1) this.#serve()
  }

  #serve(): void {
    if (this.#served === forgetAfterPackets) {
      this.#queue.splice(0, this.#served)
      this.#served = 0
    }
    const packet = this.#queue[this.#served]
    if (packet === undefined) return
    const fromUs = Math.max(this.#busyUntilUs, this.#time.nowUs)
    this.#time.at(fromUs + (packet.bytes * 1e6) / this.#options.bytesPerSecond, () => {
      this.#served++
      this.#queuedBytes -= packet.bytes
      if (this.#time.chance() >= this.#options.loss) {
        this.#time.at(this.#time.nowUs + packet.delayUs, packet.deliver)
      }
      this.#serve()
    })
  }
}
