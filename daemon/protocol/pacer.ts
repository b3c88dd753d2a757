/**
 * Spreads packets over time: a bucket of credit in bytes that fills at the pacing rate. Timers are
 * coarse, so a packet that is due within a millisecond leaves now, and the debt is carried: the
 * rate is kept on average, in small bursts. Must never let a pause save up more than the burst that
 * the limits allow.
 */
import { pacerAheadUs, pacerBurstPackets, pacerBurstUs } from './recovery-limits.ts'

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
