/**
 * A sender with endless data and its receiver, built from the protocol's own parts, over a
 * simulated link. What a session is without handshake, frames and crypto.
 */
import { type AckRange, AckRanges } from '../../daemon/protocol/recovery/ack-tracker.ts'
import type { Copa } from '../../daemon/protocol/recovery/copa.ts'
import { LossDetection, type SentPacket } from '../../daemon/protocol/recovery/loss-detection.ts'
import { Pacer } from '../../daemon/protocol/recovery/send-controller.ts'
import { ackRangesMax, persistentCongestionPtos } from '../../daemon/protocol/recovery/constants.ts'
import { Rtt } from '../../daemon/protocol/recovery/rtt.ts'
import type { BottleneckLink } from '../simulator/core/bottleneck-link.ts'
import type { VirtualTime } from '../simulator/core/virtual-time.ts'

/** What a controller must offer to be compared. */
export type CongestionControl = Pick<
  Copa,
  | 'windowBytes'
  | 'pacingBytesPerSecond'
  | 'onPacketsAcked'
  | 'onPacketsLost'
  | 'onSpuriousLoss'
  | 'onPersistentCongestion'
>

export type BulkFlowOptions = {
  readonly time: VirtualTime
  readonly link: BottleneckLink
  readonly congestion: CongestionControl
  readonly packetBytes: number
  /** Of the empty path, without the time on the link. */
  readonly rttUs: number
  readonly startUs?: number
  /** Each packet is late by up to so much. */
  readonly jitterUs?: number
  /** Each ack too. */
  readonly ackJitterUs?: number
  /** Late packets hold up those behind them, as in one host, instead of being overtaken. */
  readonly keepsOrder?: boolean
}

// What a timer of Node takes at least.
const timerUs = 1_100
const ackEvery = 8
const ackEveryWithGaps = 2
const ackEveryBytes = 9_600
const ackYoungPackets = 100
const ackDelayUs = 5_000

/** Growing set of small whole numbers. */
class Marks {
  #marks = new Uint8Array(1024)

  has(n: number): boolean {
    return this.#marks[n] === 1
  }

  add(n: number): void {
    if (n >= this.#marks.length) {
      const grown = new Uint8Array(2 * n)
      grown.set(this.#marks)
      this.#marks = grown
    }
    this.#marks[n] = 1
  }
}

/** Hands over each packet's content at the far end, and acks as PROTOCOL §5.1 says. */
class Receiver {
  readonly #time: VirtualTime
  readonly #sendAck: (ranges: AckRange[], delayUs: number) => void
  readonly #ackEvery: number
  readonly #ranges = new AckRanges()
  readonly #segments = new Marks()
  #received = 0
  #unacked = 0
  #largestAtUs = 0
  #ackTimer = 0
  segments = 0

  constructor(
    time: VirtualTime,
    packetBytes: number,
    sendAck: (ranges: AckRange[], delayUs: number) => void,
  ) {
    this.#time = time
    // Large packets are few: waiting for eight of them would stop a small window.
    this.#ackEvery = Math.max(1, Math.min(ackEvery, Math.floor(ackEveryBytes / packetBytes)))
    this.#sendAck = sendAck
  }

  onPacket(packetNumber: number, segment: number): void {
    if (packetNumber > this.#ranges.largest) this.#largestAtUs = this.#time.nowUs
    this.#ranges.insert(packetNumber)
    if (!this.#segments.has(segment)) {
      this.#segments.add(segment)
      this.segments++
    }
    this.#received++
    this.#unacked++
    const isEager = this.#ranges.hasGaps || this.#received <= ackYoungPackets
    const every = isEager ? ackEveryWithGaps : this.#ackEvery
    if (this.#unacked >= every) this.#ack()
    else if (this.#unacked === 1) {
      const timer = ++this.#ackTimer
      this.#time.at(this.#time.nowUs + ackDelayUs, () => {
        if (timer === this.#ackTimer) this.#ack()
      })
    }
  }

  #ack(): void {
    this.#unacked = 0
    this.#ackTimer++
    this.#sendAck(this.#ranges.newestFirst(ackRangesMax), this.#time.nowUs - this.#largestAtUs)
  }
}

export class BulkFlow {
  readonly #options: BulkFlowOptions
  readonly #time: VirtualTime
  readonly #rtt = new Rtt()
  readonly #loss = new LossDetection<number>(this.#rtt)
  readonly #pacer: Pacer
  readonly #receiver: Receiver
  readonly #ackedSegments = new Marks()
  readonly #resend: number[] = []
  #resendAt = 0
  #nextSegment = 0
  #newestSent = -1
  /** The segment of each packet in flight, oldest first. */
  readonly #inFlight = new Map<number, number>()
  #nextPacketNumber = 0
  #lastArrivalUs = 0
  #lastAckUs = 0
  #wakeAtUs = Infinity
  #spurious = 0

  constructor(options: BulkFlowOptions) {
    this.#options = options
    this.#time = options.time
    this.#pacer = new Pacer(options.packetBytes)
    this.#receiver = new Receiver(options.time, options.packetBytes, (ranges, delayUs) => {
      if (this.#time.chance() < options.link.loss) return
      let atUs = this.#time.nowUs + options.rttUs / 2
      atUs += (options.ackJitterUs ?? 0) * this.#time.chance()
      if (options.keepsOrder === true) atUs = Math.max(atUs, this.#lastAckUs)
      this.#lastAckUs = atUs
      this.#time.at(atUs, () => this.#onAck(ranges, delayUs))
    })
    this.#time.at(options.startUs ?? 0, () => this.#pump())
  }

  /** Of content that came for the first time. */
  get deliveredBytes(): number {
    return this.#receiver.segments * this.#options.packetBytes
  }

  get sentPackets(): number {
    return this.#nextPacketNumber
  }

  get spuriousPackets(): number {
    return this.#spurious
  }

  get smoothedRttUs(): number {
    return this.#rtt.smoothedUs
  }

  #onAck(ranges: readonly AckRange[], delayUs: number): void {
    const { congestion } = this.#options
    const nowUs = this.#time.nowUs
    const outcome = this.#loss.onAckReceived(ranges, delayUs, nowUs)
    if (outcome.type === 'never-sent') throw new Error('The receiver acked what was never sent.')
    for (const { packetNumber, content } of outcome.newlyAcked) {
      this.#ackedSegments.add(content)
      this.#inFlight.delete(packetNumber)
    }
    for (const packet of outcome.spurious) this.#ackedSegments.add(packet.content)
    this.#spurious += outcome.spurious.length
    if (outcome.spurious.length > 0) congestion.onSpuriousLoss(outcome.spurious.length)
    this.#onLost(outcome.lost)
    if (outcome.newlyAcked.length > 0) {
      congestion.onPacketsAcked({
        nowUs,
        ackedBytes: outcome.ackedBytes,
        ackedPackets: outcome.newlyAcked.length,
        inFlightBytes: this.#loss.inFlightBytes,
        smoothedRttUs: this.#rtt.smoothedUs,
        rttSampleUs: outcome.rttSampleUs,
        rateSample: outcome.rateSample,
      })
    }
    this.#pump()
  }

  #onLost(lost: readonly SentPacket<number>[]): void {
    const newest = lost.at(-1)
    if (newest === undefined) return
    for (const { packetNumber, content } of lost) {
      this.#resend.push(content)
      this.#inFlight.delete(packetNumber)
    }
    this.#options.congestion.onPacketsLost({
      nowUs: this.#time.nowUs,
      lostPackets: lost.length,
      newestSentAtUs: newest.sentAtUs,
    })
  }

  /**
   * Everything that a driver's turn does: timers that are due, then as many packets as may leave.
   */
  #pump(): void {
    const { congestion, packetBytes } = this.#options
    const nowUs = this.#time.nowUs
    this.#onDeadline(nowUs)
    this.#pacer.onRateChanged(congestion.pacingBytesPerSecond(), nowUs)
    let sendAtUs = Infinity
    while (this.#loss.inFlightBytes + packetBytes <= congestion.windowBytes()) {
      sendAtUs = this.#pacer.delayUntilUs(nowUs)
      if (sendAtUs > nowUs) break
      this.#send(this.#takeSegment())
    }
    const deadlineUs = this.#loss.deadlineUs() ?? Infinity
    const pacedUs = sendAtUs > nowUs ? Math.max(sendAtUs, nowUs + timerUs) : Infinity
    this.#wakeAt(Math.min(deadlineUs, pacedUs))
  }

  #onDeadline(nowUs: number): void {
    const outcome = this.#loss.onDeadline(nowUs)
    if (outcome === undefined) return
    if (outcome.type === 'lost') {
      this.#onLost(outcome.packets)
      return
    }
    if (this.#loss.silentPtos === persistentCongestionPtos) {
      this.#options.congestion.onPersistentCongestion()
    }
    const oldest = Array.from(this.#inFlight.values()).slice(0, outcome.count)
    for (const segment of oldest) this.#send(segment)
  }

  #wakeAt(atUs: number): void {
    // An earlier wake-up that is already set finds nothing due and sets the right one.
    if (atUs === Infinity || this.#wakeAtUs <= atUs) return
    this.#wakeAtUs = atUs
    this.#time.at(atUs, () => {
      if (this.#wakeAtUs !== atUs) return
      this.#wakeAtUs = Infinity
      this.#pump()
    })
  }

  #takeSegment(): number {
    while (this.#resendAt < this.#resend.length) {
      const segment = this.#resend[this.#resendAt++]
      if (segment !== undefined && !this.#ackedSegments.has(segment)) return segment
    }
    return this.#nextSegment++
  }

  #send(segment: number): void {
    const { link, packetBytes, rttUs } = this.#options
    const packetNumber = this.#nextPacketNumber++
    const kind = segment > this.#newestSent ? 'first' : 'again'
    this.#newestSent = Math.max(this.#newestSent, segment)
    const nowUs = this.#time.nowUs
    this.#loss.onPacketSent(packetNumber, packetBytes, segment, kind, nowUs)
    this.#inFlight.set(packetNumber, segment)
    this.#pacer.onSent(packetBytes, nowUs)
    link.send(packetBytes, rttUs / 2, () => this.#arrive(packetNumber, segment))
  }

  #arrive(packetNumber: number, segment: number): void {
    const { jitterUs, keepsOrder } = this.#options
    let arrivesAtUs = this.#time.nowUs
    if (jitterUs !== undefined) arrivesAtUs += jitterUs * this.#time.chance()
    if (keepsOrder === true) arrivesAtUs = Math.max(arrivesAtUs, this.#lastArrivalUs)
    this.#lastArrivalUs = arrivesAtUs
    this.#time.at(arrivesAtUs, () => this.#receiver.onPacket(packetNumber, segment))
  }
}
