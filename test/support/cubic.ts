/**
 * CUBIC (RFC 9438) as far as a rival on the link needs it: slow start, the cubic curve and the
 * Reno-friendly floor, one cut for each round trip with loss. For tests only: it shows what the
 * path does to a controller that takes loss for congestion.
 */
import type { PacketsAcked, PacketsLost } from '../../daemon/protocol/recovery/copa.ts'
import type { CongestionControl } from './bulk-flow.ts'

const curve = 0.4
const cut = 0.7
const fastConvergence = 0.85

export class Cubic implements CongestionControl {
  readonly #packetBytes: number
  // All windows are in packets, as in the RFC.
  #window = 10
  #slowStartUntil = Infinity
  #renoWindow = 0
  #plateau = 0
  #plateauAfterSeconds = 0
  #cutAtUs = -1
  #smoothedRttUs = 0

  constructor(packetBytes: number) {
    this.#packetBytes = packetBytes
  }

  windowBytes(): number {
    return this.#window * this.#packetBytes
  }

  pacingBytesPerSecond(): number {
    if (this.#smoothedRttUs === 0) return Infinity
    return (1.25 * this.windowBytes() * 1e6) / this.#smoothedRttUs
  }

  onPacketsAcked(acked: PacketsAcked): void {
    this.#smoothedRttUs = acked.smoothedRttUs
    const packets = acked.ackedPackets
    const sentAtUs = acked.nowUs - (acked.rttSampleUs ?? acked.smoothedRttUs)
    if (sentAtUs <= this.#cutAtUs) return
    if (this.#window < this.#slowStartUntil) {
      this.#window += packets
      return
    }
    const sinceCut = (acked.nowUs - this.#cutAtUs + acked.smoothedRttUs) / 1e6
    const cubic = curve * (sinceCut - this.#plateauAfterSeconds) ** 3 + this.#plateau
    this.#renoWindow += ((3 * (1 - cut)) / (1 + cut)) * (packets / this.#window)
    const target = Math.max(cubic, this.#renoWindow)
    const growth = Math.min(0.5, Math.max(0.01, (target - this.#window) / this.#window))
    this.#window += growth * packets
  }

  onPacketsLost(lost: PacketsLost): void {
    if (lost.newestSentAtUs <= this.#cutAtUs) return
    this.#cutAtUs = lost.nowUs
    this.#plateau = this.#window < this.#plateau ? this.#window * fastConvergence : this.#window
    this.#window = Math.max(2, this.#window * cut)
    this.#slowStartUntil = this.#window
    this.#renoWindow = this.#window
    this.#plateauAfterSeconds = Math.cbrt((this.#plateau * (1 - cut)) / curve)
  }

  onSpuriousLoss(): void {}

  onPersistentCongestion(): void {
    this.#window = 2
  }
}
