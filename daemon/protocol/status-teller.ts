/**
 * What people are told of a lane: a status in its table when it changes, a line in the log when the
 * reason is new. Must never repeat itself, for each status costs a write.
 */
import { closing, type Trouble } from './after-close.ts'
import type { Connector } from './connector.ts'
import { closeCode } from './frame.ts'
import { statusPauseUs, trafficPauseUs } from './limits.ts'
import type { Output } from './node-io.ts'
import type { OutboundSession } from './outbound-session.ts'
import type { LaneAddress, LaneStatus, SessionId, Traffic } from './store-port.ts'

/** A session that lasts less may be one of many that end for the same reason. */
const flapUs = 60_000_000

export class StatusTeller {
  readonly #lane: LaneAddress
  #said = ''
  /** The last reason that was logged: attempts and short sessions do not make it new. */
  #logged = ''
  #openLoggedUs = -Infinity
  #saidAtUs = -Infinity
  #traffic: { readonly id: SessionId | undefined; readonly packets: number; readonly lost: number }
  #trafficAtUs = -Infinity

  constructor(lane: LaneAddress) {
    this.#lane = lane
    this.#traffic = { id: undefined, packets: 0, lost: 0 }
  }

  tellOpen({ peer: to, traffic }: OutboundSession, nowUs: number, out: Output[]): void {
    // Sessions that open and end again, for one reason, are one line, not two every few seconds.
    if (this.#logged === '' || nowUs - this.#openLoggedUs >= flapUs) {
      this.#openLoggedUs = nowUs
      out.push({ type: 'event', event: { type: 'lane-open', lane: this.#lane, to } })
    }
    this.tell({ type: 'open', rttUs: traffic.rttUs }, nowUs, out)
  }

  /** To the peer, and to the log. */
  tellBroken(session: OutboundSession, reason: string, out: Output[]): void {
    out.push(closing(session, closeCode.protocol, reason))
    out.push({ type: 'event', event: { type: 'peer-broke-rule', from: session.peer, reason } })
  }

  /** How it goes with greeting. */
  tellConnecting(connector: Connector, nowUs: number, out: Output[]): void {
    const trouble = connector.trouble()
    if (trouble === undefined) return this.tell({ type: 'connecting' }, nowUs, out)
    this.tellTrouble(trouble, Math.max(0, connector.deadlineUs() - nowUs), nowUs, out)
  }

  /** `retryInUs` undefined: not before somebody acts. */
  tellTrouble(trouble: Trouble, retryInUs: number | undefined, nowUs: number, out: Output[]): void {
    const status = { ...trouble, type: 'waiting', retryInUs } as const
    const wasOpen = this.#said === 'open' && nowUs - this.#openLoggedUs >= flapUs
    if (wasOpen || this.#logged !== keyOf(status)) {
      this.#logged = keyOf(status)
      out.push({ type: 'event', event: { ...trouble, type: 'lane-waits', lane: this.#lane } })
    }
    this.tell(status, nowUs, out)
  }

  /** Said when it is new; a wait also when the time of the next attempt is. */
  tell(status: LaneStatus, nowUs: number, out: Output[]): void {
    const key = keyOf(status)
    const isKnown = key === this.#said
    if (isKnown && (status.type !== 'waiting' || nowUs - this.#saidAtUs < statusPauseUs)) return
    this.#said = key
    if (status.type === 'idle') this.#logged = ''
    this.#saidAtUs = nowUs
    out.push({ type: 'store', work: { type: 'lane-status', lane: this.#lane.lane, status } })
  }

  /** `isResting`: nothing more will follow for a while, so that now is the time to say it. */
  tellTraffic(
    session: { readonly id: SessionId; readonly traffic: Traffic },
    isResting: boolean,
    nowUs: number,
    out: Output[],
  ): void {
    if (!isResting && nowUs - this.#trafficAtUs < trafficPauseUs) return
    const { id } = session
    const { rttUs, packets, lost } = session.traffic
    const before = this.#traffic.id === id ? this.#traffic : { packets: 0, lost: 0 }
    if (packets === before.packets) return
    this.#traffic = { id, packets, lost }
    this.#trafficAtUs = nowUs
    const traffic = { rttUs, packets: packets - before.packets, lost: lost - before.lost }
    out.push({ type: 'store', work: { type: 'lane-traffic', lane: this.#lane.lane, traffic } })
  }
}

function keyOf(status: LaneStatus): string {
  return status.type === 'waiting' ? `${status.code} ${status.reason}` : status.type
}
