/**
 * Messages of one packet, each sent when the one before is long acked, over a path that loses
 * packets both ways: how long they take to arrive. What decides is the probe timeout alone.
 */
import { AckRanges } from '../../daemon/protocol/recovery/ack-tracker.ts'
import { LossDetection, type PacketKind } from '../../daemon/protocol/recovery/loss-detection.ts'
import { ackDelayUsMax, ackRangesMax } from '../../daemon/protocol/recovery/constants.ts'
import { Rtt } from '../../daemon/protocol/recovery/rtt.ts'
import { VirtualTime } from '../simulator/core/virtual-time.ts'

type LoneMessagesOptions = {
  readonly seed: number
  readonly messages: number
  readonly rttUs: number
  /** Part of the packets that are lost, each way. */
  readonly loss: number
  /** To show what another number would do. */
  readonly probesPerTimeout?: number
}

const packetBytes = 128
const warmUpMessages = 20

/** Sorted times from sending to arrival. */
export function loneMessageLatenciesUs(options: LoneMessagesOptions): number[] {
  const sender = new LoneSender(options)
  return sender.run().toSorted((a, b) => a - b)
}

class LoneSender {
  readonly #options: LoneMessagesOptions
  readonly #time: VirtualTime
  readonly #loss = new LossDetection<number>(new Rtt())
  readonly #received = new AckRanges()
  readonly #latenciesUs: number[] = []
  #nextPacketNumber = 0
  #arrived = false
  #sentAtUs = 0

  constructor(options: LoneMessagesOptions) {
    this.#options = options
    this.#time = new VirtualTime(options.seed)
  }

  run(): number[] {
    for (let message = 0; message < this.#options.messages + warmUpMessages; message++) {
      this.#arrived = false
      this.#sentAtUs = this.#time.nowUs
      this.#send(message, 'first')
      // On until it has come and nothing is in flight.
      while (!this.#arrived || this.#loss.inFlightPackets > 0) {
        const deadlineUs = this.#loss.deadlineUs() ?? this.#time.nowUs + this.#options.rttUs
        this.#time.runUntil(Math.min(deadlineUs, this.#time.nowUs + 1_000))
        this.#onDeadline(message)
      }
    }
    return this.#latenciesUs.slice(warmUpMessages)
  }

  #send(message: number, kind: PacketKind): void {
    const packetNumber = this.#nextPacketNumber++
    this.#loss.onPacketSent(packetNumber, packetBytes, message, kind, this.#time.nowUs)
    this.#overPath(() => this.#receive(packetNumber))
  }

  #receive(packetNumber: number): void {
    const nowUs = this.#time.nowUs
    this.#received.insert(packetNumber)
    if (!this.#arrived) this.#latenciesUs.push(nowUs - this.#sentAtUs)
    this.#arrived = true
    // A lone packet is acked as late as the protocol allows.
    this.#time.at(nowUs + ackDelayUsMax, () => {
      const ranges = this.#received.newestFirst(ackRangesMax)
      this.#overPath(() => {
        this.#loss.onAckReceived(ranges, ackDelayUsMax, this.#time.nowUs)
      })
    })
  }

  #onDeadline(message: number): void {
    const outcome = this.#loss.onDeadline(this.#time.nowUs)
    if (outcome?.type !== 'probe') return
    const probes = this.#options.probesPerTimeout ?? outcome.count
    // Every probe carries what is missing, also when that is only one packet's content.
    for (let probe = 0; probe < probes; probe++) this.#send(message, 'again')
  }

  #overPath(deliver: () => void): void {
    if (this.#time.chance() < this.#options.loss) return
    this.#time.at(this.#time.nowUs + this.#options.rttUs / 2, deliver)
  }
}
