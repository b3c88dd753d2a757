/**
 * The states of an outbound lane, what can be told from one, and what a lane is given. Must never
 * change a state.
 */
import { unreachable } from './assert.ts'
import type { Connector, Greeted } from './connector.ts'
import { earliest } from './deadlines.ts'
import type { Environment } from './environment.ts'
import type { KeyRing } from './key-ring.ts'
import type { Address, Output } from './node-io.ts'
import type { OutboundSession } from './outbound-session.ts'
import type { ConnectionId, KeyHint } from './packet.ts'
import { datagramBytesMin } from './recovery-limits.ts'
import { Rtt } from './rtt.ts'
import type { LaneAddress, SessionId } from './store-port.ts'

/** What a lane needs from its node. */
export type LaneOptions = {
  readonly environment: Environment
  readonly address: LaneAddress
  /** As it is now. */
  readonly ring: () => KeyRing
  /** Where peers can answer; '' and 0: where this comes from. */
  readonly advertisedHost: string
  readonly advertisedPort: number
  readonly bytesPerSecondMax: number
  readonly renewAfterPackets: number
  /** What one session may read ahead now. */
  readonly readShareBytes: () => number
  readonly takeSessionId: () => SessionId
  readonly isOwnIp: (ip: string) => boolean
  /** Somebody there has just proved to have a key, or to need none. */
  readonly isHeard: (address: Address) => boolean
  /** A session of this lane has got its first CONFIRM: other lanes to there need not wait. */
  readonly onReached: (peer: Address, nowUs: number, out: Output[]) => void
}

/** Where a lane stands. */
export type LaneState =
  | { readonly type: 'connecting'; readonly connector: Connector }
  /** `successor`: a handshake beside the session, because it is silent, old or its key is. */
  | {
      readonly type: 'up'
      readonly session: OutboundSession
      readonly localCid: ConnectionId
      /** Of the key that it is under; undefined without one. */
      readonly hint: KeyHint | undefined
      readonly successor: Connector | undefined
    }
  /**
   * The peer, or an operator's policy, asks for a pause; without an end it takes a retry by hand.
   * `isLoop`: the name led to a copy of this node, which another network may change.
   */
  | { readonly type: 'resting'; readonly untilUs: number | undefined; readonly isLoop: boolean }
  | { readonly type: 'ended' }

/** Where a session runs, and what has been learnt of the way. */
export type Path = { readonly ip: string; readonly rtt: Rtt; readonly firstBytes: number }

/**
 * The path of a new session. One that begins beside a silent session, or after it, keeps the round
 * trip that is known: from the handshake alone it would take three round trips for a loss.
 */
export function pathOf({ peer, handshakeUs }: Greeted, last: Path | undefined): Path {
  const same = last?.ip === peer.ip ? last : undefined
  if (same?.rtt.hasSample === true) return same
  return { firstBytes: datagramBytesMin, ...same, ip: peer.ip, rtt: new Rtt(handshakeUs) }
}

/** Who greets the peer now. */
export function connectorOf(state: LaneState): Connector | undefined {
  if (state.type === 'connecting') return state.connector
  return state.type === 'up' ? state.successor : undefined
}

/** By which packets a lane in this state is found. */
export function connectionIdsOf(state: LaneState): ConnectionId[] {
  const greetings = connectorOf(state)?.scids ?? []
  return state.type === 'up' ? [state.localCid, ...greetings] : [...greetings]
}

export function deadlineUsOf(state: LaneState, nowUs: number): number | undefined {
  switch (state.type) {
    case 'connecting':
      return state.connector.deadlineUs()
    case 'up':
      return earliest(state.session.deadlineUs(nowUs), state.successor?.deadlineUs())
    case 'resting':
      return state.untilUs
    case 'ended':
      return undefined
    default:
      return unreachable(state)
  }
}
