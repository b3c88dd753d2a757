/**
 * The ledger of what one session has sent: which packets have come, which are lost, and when to
 * probe. The shape is that of RFC 9002 §6, with two thresholds that widen when a loss turns out to
 * have been mere reordering. Generic in what a packet carried, which it hands back with the
 * packet's fate. Must never send anything itself, nor throw on what a peer wrote.
 *
 * A packet is in flight until an ack covers it or it is declared lost. Both thresholds grow with
 * age, so the packets declared lost are always the oldest in flight: one position
 * (`#oldestInFlight`) parts the ledger. Unsettled packets before it are lost, and kept for a while
 * to notice a late ack; those from it on are in flight.
 */
import type { AckRange } from './ack-ranges.ts'
import { assert } from './assert.ts'
import { DeliveryRate, type DeliveryStamp, type RateSample } from './delivery-rate.ts'
import {
  granularityUs,
  lostPacketMemoryRtts,
  lostPacketMemoryUs,
  packetThresholdMax,
  packetThresholdMin,
  probesPerTimeout,
  ptoBackoff,
  ptoUsMax,
  reorderingWindowGrowth,
  reorderingWindowMax,
  reorderingWindowMin,
} from './recovery-limits.ts'
import type { Rtt } from './rtt.ts'
import { SentPackets } from './sent-packets.ts'

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
  // As a part of the round-trip time, on top of it.
  #reorderingWindow = reorderingWindowMin

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
    for (const range of ranges) this.#settleRange(range, newlyAcked, spurious)
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
  ): void {
    let position = this.#sent.nextUnsettled(this.#sent.positionOf(range.first))
    while (position < this.#sent.end && this.#sent.packetNumberAt(position) <= range.last) {
      const packet = this.#sent.at(position)
      this.#sent.settle(position)
      if (position >= this.#oldestInFlight) {
        this.#leaveFlight(packet)
        newlyAcked.push(packet)
      } else {
        this.#widenThresholds(packet)
        spurious.push(packet)
      }
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

  /** A loss was none: the next packet that is as late as this one shall not be declared lost. */
  #widenThresholds(packet: SentPacket<Content>): void {
    const distance = this.#largestAcked - packet.packetNumber
    this.#packetThreshold = Math.min(
      packetThresholdMax,
      Math.max(this.#packetThreshold + 1, distance + 1),
    )
    this.#reorderingWindow = Math.min(
      reorderingWindowMax,
      this.#reorderingWindow * reorderingWindowGrowth,
    )
  }

  #detectLost(
    nowUs: number,
    lost: SentPacket<Content>[],
    lostMtuProbes: SentPacket<Content>[],
  ): void {
    const rttUs = Math.max(this.#rtt.smoothedUs, this.#rtt.latestUs)
    const lostAfterUs = Math.max(granularityUs, (1 + this.#reorderingWindow) * rttUs)
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
