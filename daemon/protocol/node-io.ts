/**
 * Every cause and every effect of the core on one screen. Must never hold behaviour.
 */
import type { Key } from './handshake.ts'
import type { LaneAddress, StoreResult, StoreWork } from './store-port.ts'

/**
 * Where a peer can be reached now: never an identity. `ip` in its shortest form, IPv4 never mapped
 * into IPv6.
 */
export type Address = { readonly ip: string; readonly port: number }

/** Where sessions without a key may come from. */
export type KeylessFrom = 'private' | 'anywhere' | 'nowhere'

export type Input =
  | { readonly type: 'datagram'; readonly from: Address; readonly bytes: Uint8Array }
  | { readonly type: 'stored'; readonly result: StoreResult }
  /** A look-up has ended; no addresses means that it failed, `reason` says how. */
  | {
      readonly type: 'resolved'
      readonly host: string
      readonly ips: readonly string[]
      readonly reason: string
    }
  /** The operating system refused to send a datagram of this size: the path is narrower. */
  | { readonly type: 'too-long'; readonly to: Address; readonly bytes: number }
  /** It sends nothing there at all, and why. */
  | { readonly type: 'unsent'; readonly to: Address; readonly reason: string }
  /** Own addresses, at start and whenever they have changed. */
  | { readonly type: 'network'; readonly ips: readonly string[] }
  /** Tell these addresses that this node is back (PROTOCOL §3.7). */
  | { readonly type: 'greet'; readonly addresses: readonly Address[] }
  /** An operator asked: try these lanes now. */
  | { readonly type: 'retry'; readonly lane: number }
  /** The key ring has been read again: these count from now on. */
  | {
      readonly type: 'keys'
      readonly keys: readonly Key[]
      readonly keylessFrom: KeylessFrom
    }
  /**
   * The wall clock and the monotonic one have moved apart: this may be a copy of a machine that
   * runs elsewhere with the same keys (PROTOCOL §4.5).
   */
  | { readonly type: 'clock-jumped' }
  | { readonly type: 'tick' }
  /** Close every session and take no new ones. */
  | { readonly type: 'stop' }

export type Output =
  /** `bytes` is the driver's to keep. */
  | { readonly type: 'send'; readonly to: Address; readonly bytes: Uint8Array }
  | { readonly type: 'store'; readonly work: StoreWork }
  | { readonly type: 'resolve'; readonly host: string }
  | { readonly type: 'event'; readonly event: NodeEvent }

/** What an operator may want to read in a log. */
export type NodeEvent =
  | { readonly type: 'lane-open'; readonly lane: LaneAddress; readonly to: Address }
  | {
      readonly type: 'lane-waits'
      readonly lane: LaneAddress
      readonly code: string
      readonly reason: string
    }
  /** All sessions begin anew (PROTOCOL §4.5). */
  | { readonly type: 'clock-jumped' }
  | { readonly type: 'peer-opened'; readonly from: Address; readonly key: string }
  /** A HELLO1 under a key that is not in the ring, or without one: it got no answer. */
  | { readonly type: 'stranger'; readonly from: Address; readonly hasKey: boolean }
  | { readonly type: 'peer-closed'; readonly from: Address; readonly reason: string }
  | { readonly type: 'peer-broke-rule'; readonly from: Address; readonly reason: string }
