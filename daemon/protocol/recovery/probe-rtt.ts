/**
 * From time to time little is sent for a moment, to see the path without our own queue: its
 * round-trip time and its loss. BBR's PROBE_RTT, and for loss what that is for delay. A probe
 * drains what is in flight, lets the losses of the time before come to light, and then measures.
 * Must never last: a probe without acks ends with the next ack.
 */
import { unreachable } from '../assert.ts'
import { pathProbeHoldUs, pathProbePackets, pathProbeRtts } from './constants.ts'

type PathMeasure = {
  /** Lowest during the probe; Infinity without a sample. */
  readonly rttUs: number
  /** Part of the packets that were lost; undefined if too few were sent to say. */
  readonly loss: number | undefined
  readonly packets: number
}

type State =
  | { readonly type: 'idle' }
  | { readonly type: 'draining' }
  | { readonly type: 'settling'; readonly untilUs: number }
  | { readonly type: 'measuring'; readonly untilUs: number }

export class ProbeRtt {
  #state: State = { type: 'idle' }
  #endedAtUs: number | undefined
  #rttUs = Infinity
  #acked = 0
  #lost = 0

  get isActive(): boolean {
    return this.#state.type !== 'idle'
  }

  /** The last one, or the beginning, is long enough ago. */
  isRested(nowUs: number, restUs: number): boolean {
    this.#endedAtUs ??= nowUs
    return nowUs - this.#endedAtUs > restUs
  }

  start(): void {
    this.#state = { type: 'draining' }
    this.#rttUs = Infinity
  }

  onPacketsLost(packets: number): void {
    this.#lost += packets
  }

  /** `isDrained`: no more is in flight than a probe may have. The measure when this ack ends it. */
  onPacketsAcked(
    packets: number,
    rttUs: number | undefined,
    smoothedRttUs: number,
    isDrained: boolean,
    nowUs: number,
  ): PathMeasure | undefined {
    this.#acked += packets
    if (rttUs !== undefined && rttUs < this.#rttUs) this.#rttUs = rttUs
    switch (this.#state.type) {
      case 'idle':
        return undefined
      case 'draining':
        if (isDrained) this.#state = { type: 'settling', untilUs: nowUs + smoothedRttUs }
        return undefined
      case 'settling': {
        if (nowUs < this.#state.untilUs) return undefined
        const holdUs = Math.max(pathProbeHoldUs, pathProbeRtts * smoothedRttUs)
        this.#state = { type: 'measuring', untilUs: nowUs + holdUs }
        this.#acked = 0
        this.#lost = 0
        return undefined
      }
      case 'measuring':
        return nowUs < this.#state.untilUs ? undefined : this.#end(nowUs)
      default:
        return unreachable(this.#state)
    }
  }

  /** Another path: nothing is measured for the old one. */
  reset(): void {
    this.#state = { type: 'idle' }
    this.#endedAtUs = undefined
  }

  #end(nowUs: number): PathMeasure {
    this.#state = { type: 'idle' }
    this.#endedAtUs = nowUs
    const packets = this.#acked + this.#lost
    return {
      rttUs: this.#rttUs,
      loss: packets < pathProbePackets ? undefined : this.#lost / packets,
      packets,
    }
  }
}
