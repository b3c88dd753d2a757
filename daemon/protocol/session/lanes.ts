/**
 * All lanes of a node that have rows or a session, found by lane, by session and by connection id.
 */
import { type Address, addressKey } from '../io.ts'
import type { Lane } from './lane.ts'
import { hintsPerSecondMax, sourcesCountedMax } from '../constants.ts'
import type { InitiatorSession } from './initiator-session.ts'
import type { ConnectionId } from '../codec/packet.ts'
import { RateLimit, RateLimits } from '../timer-queue.ts'
import type { LaneId, SessionId } from '../store-messages.ts'

type Registered = {
  readonly cids: readonly ConnectionId[]
  readonly session: InitiatorSession | undefined
}

export class Lanes {
  readonly #lanes = new Map<LaneId, Lane>()
  readonly #byHost = new Map<string, Set<Lane>>()
  readonly #byCid = new Map<ConnectionId, Lane>()
  readonly #byPeerCid = new Map<ConnectionId, Lane>()
  readonly #bySession = new Map<SessionId, Lane>()
  readonly #registered = new Map<Lane, Registered>()
  readonly #wakes = new RateLimit(hintsPerSecondMax)
  readonly #wakesFrom = new RateLimits(1, sourcesCountedMax)
  #turn = 0

  /** How many of them have a session: the others hold nothing. */
  get sessions(): number {
    return this.#bySession.size
  }

  /** As they are now: the caller may end some of them. */
  all(): readonly Lane[] {
    return [...this.#lanes.values()]
  }

  byLane(lane: LaneId): Lane | undefined {
    return this.#lanes.get(lane)
  }

  bySession(session: SessionId): Lane | undefined {
    return this.#bySession.get(session)
  }

  byHost(host: string): readonly Lane[] {
    return [...(this.#byHost.get(host) ?? [])]
  }

  byCid(cid: ConnectionId): Lane | undefined {
    return this.#byCid.get(cid)
  }

  /** Whose session has this id at the peer. */
  byPeerCid(cid: ConnectionId): Lane | undefined {
    return this.#byPeerCid.get(cid)
  }

  /** Whether a session with this address goes well. */
  isHeard({ ip, port }: Address): boolean {
    for (const { session } of this.#registered.values()) {
      if (session?.peer.ip !== ip || session.peer.port !== port) continue
      if (session.silentPtos === 0) return true
    }
    return false
  }

  /**
   * The lane that a WAKE from this address is for: one a second, whoever sends it. When it reaches
   * the peer, the other lanes to this address know it.
   */
  toWake(from: Address, nowUs: number): Lane | undefined {
    if (!this.#wakes.take(nowUs)) return undefined
    const hello = this.all().filter(({ initiator }) => initiator?.sendsHello(from) === true)
    if (hello.length === 0 || !this.#wakesFrom.take(addressKey(from), nowUs)) return undefined
    // Another one each time: this one may have a key that the peer has not.
    return hello[this.#turn++ % hello.length]
  }

  add(lane: Lane): void {
    this.#lanes.set(lane.address.lane, lane)
    const { host } = lane.address
    const others = this.#byHost.get(host)
    if (others === undefined) this.#byHost.set(host, new Set([lane]))
    else others.add(lane)
  }

  /** The lane has been touched: where it is found may have changed. */
  register(lane: Lane): void {
    const before = this.#registered.get(lane)
    const { session } = lane
    const cids = lane.connectionIds()
    const isKnown = before?.session === session && sameIds(before?.cids ?? [], cids)
    if (isKnown && !lane.isEnded) return
    for (const cid of before?.cids ?? []) this.#byCid.delete(cid)
    if (before?.session !== undefined) {
      this.#bySession.delete(before.session.id)
      this.#byPeerCid.delete(before.session.keys.peerCid)
    }
    if (lane.isEnded) {
      this.#registered.delete(lane)
      this.#lanes.delete(lane.address.lane)
      this.#dropFromHost(lane)
      return
    }
    for (const cid of cids) this.#byCid.set(cid, lane)
    if (session !== undefined) {
      this.#bySession.set(session.id, lane)
      this.#byPeerCid.set(session.keys.peerCid, lane)
    }
    this.#registered.set(lane, { cids, session })
  }

  #dropFromHost(lane: Lane): void {
    const { host } = lane.address
    const lanes = this.#byHost.get(host)
    lanes?.delete(lane)
    if (lanes?.size === 0) this.#byHost.delete(host)
  }
}

function sameIds(one: readonly ConnectionId[], other: readonly ConnectionId[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index])
}
