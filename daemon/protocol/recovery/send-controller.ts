/**
 * What one session may send and when: the ledger of losses, the congestion window, the pacer and
 * the size of datagrams, wired to each other. Must never know what a packet carries, beyond handing
 * it back with its fate.
 */
import {
  datagramBytesEthernet,
  largeDatagramsPerSecondMin,
  largeDatagramsPerSecondMinNear,
} from '../constants.ts'
import type { Traffic } from '../store-messages.ts'
import type { AckRange } from './ack-tracker.ts'
import {
  idleResetUs,
  pacerAheadUs,
  pacerBurstPackets,
  pacerBurstUs,
  persistentCongestionPtos,
} from './constants.ts'
import { Copa } from './copa.ts'
import { LossDetection, type PacketKind, type SentPacket } from './loss-detection.ts'
import { MtuDiscovery } from './mtu-discovery.ts'
import { Rtt } from './rtt.ts'

type AckFate<Content> = {
  readonly acked: readonly Content[]
  readonly lost: readonly Content[]
}

type DeadlineFate<Content> = {
  readonly lost: readonly Content[]
  /** How many packets must leave now, whatever the window says. */
  readonly probes: number
}

export class SendController<Content> {
  readonly #rtt: Rtt
  readonly #ledger: LossDetection<Content>
  // Until OPENED has said what the peer takes, nothing larger than the base is tried.
  readonly #mtu: MtuDiscovery
  readonly #congestion: Copa
  readonly #pacer: Pacer
  #packets = 0
  #lost = 0
  #lastSentAtUs: number | undefined

  /** `bytesPerSecondMax` 0: no limit. `rtt` is fed here, and may know the path already. */
  constructor(bytesPerSecondMax: number, rtt: Rtt = new Rtt(), firstBytes?: number) {
    this.#rtt = rtt
    this.#mtu = new MtuDiscovery(0, firstBytes)
    this.#ledger = new LossDetection<Content>(this.#rtt)
    this.#congestion = new Copa(
      this.#mtu.datagramBytes,
      bytesPerSecondMax > 0 ? { bytesPerSecondMax } : {},
    )
    this.#pacer = new Pacer(this.#mtu.datagramBytes)
  }

  /** Size of a full packet. */
  get datagramBytes(): number {
    return this.#mtu.datagramBytes
  }

  get inFlightPackets(): number {
    return this.#ledger.inFlightPackets
  }

  get silentPtos(): number {
    return this.#ledger.silentPtos
  }

  get traffic(): Traffic {
    return { rttUs: Math.round(this.#rtt.smoothedUs), packets: this.#packets, lost: this.#lost }
  }

  windowBytes(): number {
    return this.#congestion.windowBytes()
  }

  ptoBaseUs(): number {
    return this.#rtt.ptoBaseUs()
  }

  /** Window and pacer let a full packet leave now. */
  maySend(nowUs: number): boolean {
    return this.#hasWindow() && this.#pacer.delayUntilUs(nowUs) <= nowUs
  }

  /** When the pacer lets the next packet leave; undefined: not before an ack. */
  sendAtUs(nowUs: number): number | undefined {
    return this.#hasWindow() ? this.#pacer.delayUntilUs(nowUs) : undefined
  }

  /** Size of a probe for larger datagrams that should leave now. */
  takeSizeProbe(nowUs: number): number | undefined {
    if (!this.#rtt.hasSample) return undefined
    const bytes = this.#mtu.nextProbe(nowUs)
    if (bytes === undefined || !this.#paysOff(bytes)) return undefined
    this.#mtu.onProbeSent(bytes)
    return bytes
  }

  /** A packet leaves that asks for an ack. */
  onSent(
    packetNumber: number,
    bytes: number,
    content: Content,
    kind: PacketKind,
    nowUs: number,
  ): void {
    if (this.#lastSentAtUs !== undefined && this.#ledger.inFlightPackets === 0) {
      if (nowUs - this.#lastSentAtUs >= idleResetUs) this.#onIdle(nowUs)
    }
    this.#lastSentAtUs = nowUs
    this.#packets++
    this.#ledger.onPacketSent(packetNumber, bytes, content, kind, nowUs)
    this.#pacer.onSent(bytes, nowUs)
  }

  onUnackedSent(packetNumber: number): void {
    this.#ledger.onUnackedPacketSent(packetNumber)
  }

  /** There was room to send and nothing to send. */
  onAppLimited(): void {
    this.#ledger.onAppLimited()
  }

  onPeerDatagramMax(bytes: number): void {
    if (this.#mtu.onPeerBytesMax(bytes)) this.#onSizeChanged()
  }

  onTooLong(bytes: number, nowUs: number): void {
    if (this.#mtu.onMessageTooLong(bytes, nowUs)) this.#onSizeChanged()
  }

  /** `undefined`: the peer acks what was never sent. */
  onAck(
    ranges: readonly AckRange[],
    ackDelayUs: number,
    nowUs: number,
  ): AckFate<Content> | undefined {
    const outcome = this.#ledger.onAckReceived(ranges, ackDelayUs, nowUs)
    if (outcome.type === 'never-sent') return undefined
    for (const packet of outcome.newlyAcked) this.#onArrived(packet)
    for (const packet of outcome.spurious) this.#onArrived(packet)
    if (outcome.spurious.length > 0) this.#congestion.onSpuriousLoss(outcome.spurious.length)
    this.#onLost(outcome.lost, outcome.lostMtuProbes, nowUs)
    if (outcome.newlyAcked.length > 0) {
      this.#congestion.onPacketsAcked({
        nowUs,
        ackedBytes: outcome.ackedBytes,
        ackedPackets: outcome.newlyAcked.length,
        inFlightBytes: this.#ledger.inFlightBytes,
        smoothedRttUs: this.#rtt.smoothedUs,
        rttSampleUs: outcome.rttSampleUs,
        rateSample: outcome.rateSample,
      })
    }
    this.#pacer.onRateChanged(this.#congestion.pacingBytesPerSecond(), nowUs)
    return {
      acked: [...contents(outcome.newlyAcked), ...contents(outcome.spurious)],
      lost: contents(outcome.lost),
    }
  }

  deadlineUs(): number | undefined {
    return this.#ledger.deadlineUs()
  }

  onDeadline(nowUs: number): DeadlineFate<Content> | undefined {
    const outcome = this.#ledger.onDeadline(nowUs)
    if (outcome === undefined) return undefined
    if (outcome.type === 'lost') {
      this.#onLost(outcome.packets, outcome.mtuProbes, nowUs)
      return { lost: contents(outcome.packets), probes: 0 }
    }
    const silent = this.#ledger.silentPtos
    if (this.#mtu.onSilentPtos(silent, nowUs)) this.#onSizeChanged()
    if (silent === persistentCongestionPtos) this.#congestion.onPersistentCongestion()
    this.#pacer.onRateChanged(this.#congestion.pacingBytesPerSecond(), nowUs)
    return { lost: [], probes: outcome.count }
  }

  /**
   * Large datagrams save work where packets are many; where they are few, one lost datagram would
   * be a large part of the window.
   */
  #paysOff(bytes: number): boolean {
    if (bytes <= datagramBytesEthernet) return true
    const perSecond = this.#congestion.isShortPath
      ? largeDatagramsPerSecondMinNear
      : largeDatagramsPerSecondMin
    return this.#congestion.pacingBytesPerSecond() >= bytes * perSecond
  }

  #hasWindow(): boolean {
    const after = this.#ledger.inFlightBytes + this.#mtu.datagramBytes
    return after <= this.#congestion.windowBytes() || this.#ledger.inFlightPackets === 0
  }

  #onArrived(packet: SentPacket<Content>): void {
    const grown =
      packet.kind === 'size-probe'
        ? this.#mtu.onProbeAcked(packet.bytes)
        : this.#mtu.onPacketAcked(packet.bytes)
    if (grown) this.#onSizeChanged()
  }

  #onLost(
    packets: readonly SentPacket<Content>[],
    mtuProbes: readonly SentPacket<Content>[],
    nowUs: number,
  ): void {
    for (const probe of mtuProbes) this.#mtu.onProbeLost(probe.bytes, nowUs)
    const newest = packets.at(-1)
    if (newest === undefined) return
    this.#lost += packets.length
    for (const packet of packets) {
      if (this.#mtu.onPacketLost(packet.bytes, nowUs)) this.#onSizeChanged()
    }
    this.#congestion.onPacketsLost({
      nowUs,
      lostPackets: packets.length,
      newestSentAtUs: newest.sentAtUs,
    })
  }

  #onIdle(nowUs: number): void {
    this.#congestion.onIdle()
    this.#pacer.onRateChanged(this.#congestion.pacingBytesPerSecond(), nowUs)
  }

  #onSizeChanged(): void {
    this.#congestion.onPacketSizeChanged(this.#mtu.datagramBytes)
    this.#pacer.onPacketSizeChanged(this.#mtu.datagramBytes)
  }
}

function contents<Content>(packets: readonly SentPacket<Content>[]): Content[] {
  return packets.map((packet) => packet.content)
}

// Spreads packets over time: a bucket of credit in bytes that fills at the pacing rate. Timers are
// coarse, so a packet that is due within a millisecond leaves now, and the debt is carried: the
// rate is kept on average, in small bursts. Must never let a pause save up more than the burst that
// the limits allow.

export class Pacer {
  #packetBytes: number
  #bytesPerSecond = Infinity
  #creditBytes = Infinity
  #refilledAtUs = 0

  constructor(packetBytes: number) {
    this.#packetBytes = packetBytes
  }

  /** The size of a full packet, which the burst is counted in. */
  onPacketSizeChanged(bytes: number): void {
    this.#packetBytes = bytes
  }

  /** Infinity: no pacing. */
  onRateChanged(bytesPerSecond: number, nowUs: number): void {
    this.#refill(nowUs)
    this.#bytesPerSecond = bytesPerSecond
    this.#creditBytes = Math.min(this.#creditBytes, this.#burstBytes())
  }

  /** When the next full packet may leave: `nowUs` if now. */
  delayUntilUs(nowUs: number): number {
    this.#refill(nowUs)
    const missingBytes = this.#packetBytes - this.#creditBytes
    if (missingBytes <= 0 || this.#bytesPerSecond === Infinity) return nowUs
    const waitUs = (missingBytes * 1e6) / this.#bytesPerSecond
    return waitUs < pacerAheadUs ? nowUs : nowUs + waitUs
  }

  onSent(bytes: number, nowUs: number): void {
    this.#refill(nowUs)
    this.#creditBytes -= bytes
  }

  #refill(nowUs: number): void {
    const earned =
      this.#bytesPerSecond === Infinity
        ? Infinity
        : ((nowUs - this.#refilledAtUs) * this.#bytesPerSecond) / 1e6
    this.#creditBytes = Math.min(this.#creditBytes + earned, this.#burstBytes())
    this.#refilledAtUs = nowUs
  }

  #burstBytes(): number {
    return Math.max(
      pacerBurstPackets * this.#packetBytes,
      (this.#bytesPerSecond * pacerBurstUs) / 1e6,
    )
  }
}
