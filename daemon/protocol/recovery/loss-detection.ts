/**
 * The ledger of what one session has sent: which packets have come, which are lost, and when to
 * probe. The shape is that of RFC 9002 §6, with thresholds that follow how far behind, and how
 * late, packets have come that were taken for lost. Generic in what a packet carried, which it
 * hands back with the packet's fate. Must never send anything itself, nor throw on what a peer
 * wrote.
 *
 * A packet is in flight until an ack covers it or it is declared lost. Both thresholds grow with
 * age, so the packets declared lost are always the oldest in flight: one position
 * (`#oldestInFlight`) parts the ledger. Unsettled packets before it are lost, and kept for a while
 * to notice a late ack; those from it on are in flight.
 */
import { assert } from '../assert.ts'
import type { AckRange } from './ack-tracker.ts'
import {
  granularityUs,
  latenessMemoryUs,
  latenessPtosMax,
  lostPacketMemoryRtts,
  lostPacketMemoryUs,
  packetThresholdMax,
  packetThresholdMin,
  probesPerTimeout,
  ptoBackoff,
  ptoUsMax,
  reorderingWindow,
} from './constants.ts'
import { DeliveryRate, type DeliveryStamp, type RateSample } from './delivery-rate.ts'
import { type Rtt, WindowedFilter } from './rtt.ts'

/**
 * Carries something for the first time; carries what went before, or nothing; was sent to learn
 * whether its size passes, so that its loss says nothing about congestion.
 */
export type PacketKind = 'first' | 'again' | 'size-probe'

export type SentPacket<Content> = {
  readonly packetNumber: number
  readonly bytes: number
  readonly content: Content
  readonly sentAtUs: number
  readonly kind: PacketKind
  readonly stamp: DeliveryStamp
}

/**
 * What one ack says. Packets are listed by range, newest range first, and upward within a range.
 */
export type AckOutcome<Content> =
  | {
      readonly type: 'acked'
      readonly newlyAcked: readonly SentPacket<Content>[]
      readonly ackedBytes: number
      readonly lost: readonly SentPacket<Content>[]
      readonly lostMtuProbes: readonly SentPacket<Content>[]
      /** Declared lost earlier, and come after all. */
      readonly spurious: readonly SentPacket<Content>[]
      /** Only if the newest packet that was ever acked is among the newly acked. */
      readonly rttSampleUs: number | undefined
      readonly rateSample: RateSample | undefined
    }
  /** A protocol error: the ack covers a number that was never sent. Nothing has been changed. */
  | { readonly type: 'never-sent' }

export type DeadlineOutcome<Content> =
  | {
      readonly type: 'lost'
      readonly packets: readonly SentPacket<Content>[]
      readonly mtuProbes: readonly SentPacket<Content>[]
    }
  /**
   * Send this many packets now, whatever the congestion window says, with the oldest of what is in
   * flight.
   */
  | { readonly type: 'probe'; readonly count: number }

export class LossDetection<Content> {
  readonly #rtt: Rtt
  readonly #sent = new SentPackets<SentPacket<Content>>()
  readonly #rate = new DeliveryRate()
  #oldestInFlight = 0
  #inFlightBytes = 0
  #inFlightPackets = 0
  #largestSent = -1
  #largestAcked = -1
  #lastSentAtUs = 0
  #lossDeadlineUs: number | undefined
  #silentPtos = 0
  // Of these, the ones since something was last sent for the first time.
  #backoffs = 0
  #packetThreshold = packetThresholdMin
  // How long the latest packets have taken that were not lost; empty while none was taken for lost.
  readonly #lateness = new WindowedFilter('max')
  #latenessSeenAtUs = 0

  /** `rtt` is fed here and read by others. */
  constructor(rtt: Rtt) {
    this.#rtt = rtt
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes
  }

  get inFlightPackets(): number {
    return this.#inFlightPackets
  }

  /** Probe timeouts in a row without any ack: at 3 the path may be dead (PROTOCOL §8). */
  get silentPtos(): number {
    return this.#silentPtos
  }

  /**
   * A packet that asks for an ack leaves now. `bytes` is the whole datagram. What goes for the
   * first time does not inherit the patience that older packets have taught; on a dead path the
   * window soon lets nothing new out.
   */
  onPacketSent(
    packetNumber: number,
    bytes: number,
    content: Content,
    kind: PacketKind,
    nowUs: number,
  ): void {
    if (kind === 'first') this.#backoffs = 0
    this.onUnackedPacketSent(packetNumber)
    this.#sent.add(packetNumber, {
      packetNumber,
      bytes,
      content,
      sentAtUs: nowUs,
      kind,
      stamp: this.#rate.stamp(this.#inFlightBytes, nowUs),
    })
    this.#inFlightBytes += bytes
    this.#inFlightPackets++
    this.#lastSentAtUs = nowUs
  }

  /**
   * A packet that asks for no ack leaves: only its number matters, for the peer may ack it all the
   * same.
   */
  onUnackedPacketSent(packetNumber: number): void {
    assert(packetNumber > this.#largestSent, 'A packet number is used once.')
    this.#largestSent = packetNumber
  }

  /**
   * Window and pacer would let more leave, but there is nothing to send: rates measured now are not
   * the path's.
   */
  onAppLimited(): void {
    this.#rate.onAppLimited(this.#inFlightBytes)
  }

  onAckReceived(
    ranges: readonly AckRange[],
    ackDelayUs: number,
    nowUs: number,
  ): AckOutcome<Content> {
    for (const { last } of ranges) if (last > this.#largestSent) return { type: 'never-sent' }
    const newlyAcked: SentPacket<Content>[] = []
    const spurious: SentPacket<Content>[] = []
    for (const range of ranges) this.#settleRange(range, newlyAcked, spurious, nowUs)
    const ackedBytes = this.#deliver(newlyAcked, nowUs)
    this.#deliver(spurious, nowUs)
    if (newlyAcked.length + spurious.length > 0) {
      this.#silentPtos = 0
      this.#backoffs = 0
    }

    const newest = newestOf(newlyAcked)
    const advances = newest !== undefined && newest.packetNumber > this.#largestAcked
    const rttSampleUs = advances
      ? this.#rtt.onSample(nowUs - newest.sentAtUs, ackDelayUs)
      : undefined
    const rateSample =
      newest === undefined ? undefined : this.#rate.sample(newest.stamp, newest.sentAtUs)
    for (const { last } of ranges) this.#largestAcked = Math.max(this.#largestAcked, last)

    const lost: SentPacket<Content>[] = []
    const lostMtuProbes: SentPacket<Content>[] = []
    this.#detectLost(nowUs, lost, lostMtuProbes)
    this.#forgetOld(nowUs)
    return {
      type: 'acked',
      newlyAcked,
      ackedBytes,
      lost,
      lostMtuProbes,
      spurious,
      rttSampleUs,
      rateSample,
    }
  }

  /**
   * When `onDeadline` is due: a packet overtaken by an acked one gets lost by age, or it is time to
   * probe.
   */
  deadlineUs(): number | undefined {
    if (this.#inFlightPackets === 0) return undefined
    return this.#lossDeadlineUs ?? this.#lastSentAtUs + this.#ptoUs()
  }

  /** Undefined when nothing is due yet. */
  onDeadline(nowUs: number): DeadlineOutcome<Content> | undefined {
    const deadlineUs = this.deadlineUs()
    if (deadlineUs === undefined || nowUs < deadlineUs) return undefined
    if (this.#lossDeadlineUs === undefined) {
      this.#silentPtos++
      this.#backoffs++
      // The probes restart the timer when they leave; so does a probe that the owner could not
      // send.
      this.#lastSentAtUs = nowUs
      return { type: 'probe', count: probesPerTimeout }
    }
    const packets: SentPacket<Content>[] = []
    const mtuProbes: SentPacket<Content>[] = []
    this.#detectLost(nowUs, packets, mtuProbes)
    this.#forgetOld(nowUs)
    return { type: 'lost', packets, mtuProbes }
  }

  // Both ways in which the backoff can be wrong stand at its constants.
  #ptoUs(): number {
    const baseUs = this.#rtt.ptoBaseUs()
    return Math.min(baseUs * ptoBackoff ** this.#backoffs, Math.max(ptoUsMax, baseUs))
  }

  #settleRange(
    range: AckRange,
    newlyAcked: SentPacket<Content>[],
    spurious: SentPacket<Content>[],
    nowUs: number,
  ): void {
    let position = this.#sent.nextUnsettled(this.#sent.positionOf(range.first))
    while (position < this.#sent.end && this.#sent.packetNumberAt(position) <= range.last) {
      const packet = this.#sent.at(position)
      this.#sent.settle(position)
      const isSpurious = position < this.#oldestInFlight
      if (isSpurious) {
        this.#widenThreshold(packet)
        spurious.push(packet)
      } else {
        this.#leaveFlight(packet)
        newlyAcked.push(packet)
      }
      this.#learnLateness(packet, isSpurious, nowUs)
      position = this.#sent.nextUnsettled(position + 1)
    }
  }

  #deliver(packets: readonly SentPacket<Content>[], nowUs: number): number {
    let bytes = 0
    for (const packet of packets) bytes += packet.bytes
    if (bytes > 0) this.#rate.onDelivered(bytes, nowUs)
    return bytes
  }

  #leaveFlight(packet: SentPacket<Content>): void {
    this.#inFlightBytes -= packet.bytes
    this.#inFlightPackets--
    assert(
      this.#inFlightPackets > 0 ? this.#inFlightBytes > 0 : this.#inFlightBytes === 0,
      'Bytes in flight are the sum of the packets in flight.',
    )
  }

  /** A loss was none: the next packet that is as far behind shall not be declared lost. */
  #widenThreshold(packet: SentPacket<Content>): void {
    const distance = this.#largestAcked - packet.packetNumber
    this.#packetThreshold = Math.min(
      packetThresholdMax,
      Math.max(this.#packetThreshold, distance + 1),
    )
  }

  /**
   * Of packets that others have overtaken, from the first on that was taken for lost: a path that
   * keeps their order teaches nothing, and losses on it are repaired as soon as before.
   */
  #learnLateness(packet: SentPacket<Content>, isSpurious: boolean, nowUs: number): void {
    const isOvertaken = packet.packetNumber < this.#largestAcked
    if (!isSpurious && (this.#lateness.isEmpty || !isOvertaken)) return
    this.#lateness.push(nowUs - packet.sentAtUs, nowUs, nowUs - latenessMemoryUs)
    this.#latenessSeenAtUs = nowUs
  }

  /** Age at which an overtaken packet counts as lost. */
  #lostAfterUs(nowUs: number): number {
    if (nowUs - this.#latenessSeenAtUs > latenessMemoryUs) this.#lateness.clear()
    const rttUs = Math.max(this.#rtt.smoothedUs, this.#rtt.latestUs)
    const latenessUs = this.#lateness.isEmpty ? 0 : this.#lateness.best
    const lateUs = Math.min(latenessUs, latenessPtosMax * this.#rtt.ptoBaseUs())
    return Math.max(granularityUs, (1 + reorderingWindow) * Math.max(rttUs, lateUs))
  }

  #detectLost(
    nowUs: number,
    lost: SentPacket<Content>[],
    lostMtuProbes: SentPacket<Content>[],
  ): void {
    const lostAfterUs = this.#lostAfterUs(nowUs)
    this.#lossDeadlineUs = undefined
    let position = this.#sent.nextUnsettled(this.#oldestInFlight)
    for (; position < this.#sent.end; position = this.#sent.nextUnsettled(position + 1)) {
      const packetNumber = this.#sent.packetNumberAt(position)
      if (packetNumber >= this.#largestAcked) break
      const packet = this.#sent.at(position)
      const isFarBehind = packetNumber <= this.#largestAcked - this.#packetThreshold
      if (!isFarBehind && nowUs < packet.sentAtUs + lostAfterUs) {
        this.#lossDeadlineUs = packet.sentAtUs + lostAfterUs
        break
      }
      this.#leaveFlight(packet)
      const list = packet.kind === 'size-probe' ? lostMtuProbes : lost
      list.push(packet)
    }
    this.#oldestInFlight = position
  }

  /** Lost packets whose ack is not expected any more. */
  #forgetOld(nowUs: number): void {
    const memoryUs = lostPacketMemoryRtts * this.#rtt.smoothedUs + lostPacketMemoryUs
    let position = this.#sent.nextUnsettled(this.#sent.begin)
    while (position < this.#oldestInFlight) {
      if (nowUs < this.#sent.at(position).sentAtUs + memoryUs) break
      this.#sent.settle(position)
      position = this.#sent.nextUnsettled(position + 1)
    }
    this.#sent.forgetSettled()
  }
}

function newestOf<Content>(
  packets: readonly SentPacket<Content>[],
): SentPacket<Content> | undefined {
  let newest: SentPacket<Content> | undefined
  for (const packet of packets) {
    if (newest === undefined || packet.packetNumber > newest.packetNumber) newest = packet
  }
  return newest
}

// The packets of one session that were sent and are not yet settled, in order of their numbers.
// Finds the packets that an ack newly covers in time proportional to those packets and to the ack's
// ranges, however many it covers again. Must never check: `LossDetection` decides what an entry's
// fate is.
//
// Entries have positions that count up for ever: `begin` is the oldest kept, `end` the next to be
// given out. They live in a ring whose size is a power of two. A settled entry points onward to
// where the next unsettled one may be, and pointers are halved while they are followed (the
// union-find trick), so that long settled stretches are crossed in a step or two.

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
