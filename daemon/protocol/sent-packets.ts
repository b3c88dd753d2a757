/**
 * The packets of one session that were sent and are not yet settled, in order of their numbers.
 * Finds the packets that an ack newly covers in time proportional to those packets and to the ack's
 * ranges, however many it covers again. Must never judge: loss-detection.ts decides what an entry's
 * fate is.
 *
 * Entries have positions that count up for ever: `begin` is the oldest kept, `end` the next to be
 * given out. They live in a ring whose size is a power of two. A settled entry points onward to
 * where the next unsettled one may be, and pointers are halved while they are followed (the
 * union-find trick), so that long settled stretches are crossed in a step or two.
 */
import { assert } from './assert.ts'

const initialCapacity = 64

export class SentPackets<Packet> {
  #capacity = initialCapacity
  #packets: (Packet | undefined)[] = Array.from({ length: initialCapacity })
  #packetNumbers = new Float64Array(initialCapacity)
  // A position that points to itself is unsettled, or the end.
  #onward = new Float64Array(initialCapacity)
  #begin = 0
  #end = 0

  get begin(): number {
    return this.#begin
  }

  get end(): number {
    return this.#end
  }

  add(packetNumber: number, packet: Packet): void {
    assert(
      this.#end === this.#begin || packetNumber > this.packetNumberAt(this.#end - 1),
      'Packet numbers count up.',
    )
    // One slot stays free for the end itself.
    if (this.#end - this.#begin + 1 === this.#capacity) this.#grow()
    const slot = this.#slot(this.#end)
    this.#packets[slot] = packet
    this.#packetNumbers[slot] = packetNumber
    this.#onward[slot] = this.#end
    this.#end++
    this.#onward[this.#slot(this.#end)] = this.#end
  }

  /** The unsettled packet at this position. */
  at(position: number): Packet {
    const packet = this.#packets[this.#slot(position)]
    assert(packet !== undefined, 'Only unsettled packets are looked at.')
    return packet
  }

  packetNumberAt(position: number): number {
    return this.#packetNumbers[this.#slot(position)] ?? -1
  }

  /** The first unsettled position from here on, `end` if there is none. */
  nextUnsettled(from: number): number {
    let position = Math.max(from, this.#begin)
    for (;;) {
      const onward = this.#onwardOf(position)
      if (onward === position) return position
      const further = this.#onwardOf(onward)
      this.#onward[this.#slot(position)] = further
      position = further
    }
  }

  /** First position whose packet number is this or higher. */
  positionOf(packetNumber: number): number {
    if (this.#begin === this.#end) return this.#end
    const oldest = this.packetNumberAt(this.#begin)
    if (packetNumber <= oldest) return this.#begin
    // Numbers count up by at least one, so a position cannot be further on than this; nearly always
    // it is exactly here.
    let high = Math.min(this.#end, this.#begin + (packetNumber - oldest))
    if (high < this.#end && this.packetNumberAt(high) === packetNumber) return high
    let low = this.#begin
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.packetNumberAt(middle) < packetNumber) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Its fate is known: it is never returned again, and what it held is free. */
  settle(position: number): void {
    const slot = this.#slot(position)
    assert(this.#onward[slot] === position && position < this.#end, 'A packet is settled once.')
    this.#packets[slot] = undefined
    this.#onward[slot] = position + 1
  }

  /** Gives back the slots of settled packets at the old end. */
  forgetSettled(): void {
    this.#begin = this.nextUnsettled(this.#begin)
  }

  #onwardOf(position: number): number {
    const onward = this.#onward[this.#slot(position)]
    assert(onward !== undefined, 'A slot lies inside the ring.')
    return onward
  }

  #slot(position: number): number {
    return position & (this.#capacity - 1)
  }

  #grow(): void {
    const capacity = this.#capacity * 2
    const packets: (Packet | undefined)[] = Array.from({ length: capacity })
    const packetNumbers = new Float64Array(capacity)
    const onward = new Float64Array(capacity)
    for (let position = this.#begin; position <= this.#end; position++) {
      const slot = position & (capacity - 1)
      packets[slot] = this.#packets[this.#slot(position)]
      packetNumbers[slot] = this.packetNumberAt(position)
      onward[slot] = this.#onwardOf(position)
    }
    this.#capacity = capacity
    this.#packets = packets
    this.#packetNumbers = packetNumbers
    this.#onward = onward
  }
}
