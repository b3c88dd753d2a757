/**
 * What the initiator's half of a session is given, where it stands, and what it tells its lane.
 */
import type { CloseFrame, OpenFrame } from './frame.ts'
import type { Address } from './node-io.ts'
import type { OffsetRange } from './range-set.ts'
import type { Rtt } from './rtt.ts'
import type { SessionKeys } from './session-keys.ts'
import type { OpenedFacts, SessionId } from './store-port.ts'

/** What a packet carried: what must go again when the packet is lost. */
export type Content = { readonly open: boolean; readonly pieces: readonly OffsetRange[] }

export type OutboundFact =
  | { readonly type: 'opened'; readonly opened: OpenedFacts }
  | { readonly type: 'confirmed'; readonly sequence: number }
  /** There may be room for more rows. */
  | { readonly type: 'progress' }
  | { readonly type: 'closed'; readonly frame: CloseFrame }
  | { readonly type: 'broken'; readonly reason: string }

export type Phase =
  /** The store looks up which stream to open. */
  | { readonly type: 'fresh' }
  /** OPEN is to be sent, or in flight. */
  | { readonly type: 'opening'; readonly frame: OpenFrame; readonly isDue: boolean }
  /** OPENED has come; the store applies its rules. */
  | { readonly type: 'judging'; readonly watermark: number }
  | { readonly type: 'streaming' }

export type OutboundOptions = {
  readonly keys: SessionKeys
  readonly id: SessionId
  readonly peer: Address
  /** Of the path to `peer`, as far as it is known. */
  readonly rtt: Rtt
  /** Size of a full packet at first. */
  readonly firstBytes?: number
  /** 0: none. */
  readonly bytesPerSecondMax: number
  readonly renewAfterPackets: number
}
