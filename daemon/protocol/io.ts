/**
 * Every cause and every effect of the core on one screen. Must never hold behaviour.
 */
import type { Key } from './crypto/handshake.ts'
import type { LaneAddress, StoreResult, StoreWork } from './store-messages.ts'

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
  /** The operating system did not send a datagram of this size: the path is narrower. */
  | { readonly type: 'too-long'; readonly to: Address; readonly bytes: number }
  /** It sends nothing there at all, and why. */
  | { readonly type: 'unsent'; readonly to: Address; readonly reason: string }
  /** Own addresses, at start and whenever they have changed. */
  | { readonly type: 'network'; readonly ips: readonly string[] }
  /** Tell these addresses that this node is back (PROTOCOL §3.7). */
  | { readonly type: 'wake-peers'; readonly addresses: readonly Address[] }
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
  /** All sessions begin again (PROTOCOL §4.5). */
  | { readonly type: 'clock-jumped' }
  | { readonly type: 'peer-opened'; readonly from: Address; readonly key: string }
  /** A HELLO1 under a key that is not in the ring, or without one: it got no answer. */
  | { readonly type: 'unauthenticated-peer'; readonly from: Address; readonly hasKey: boolean }
  | { readonly type: 'peer-closed'; readonly from: Address; readonly reason: string }
  | { readonly type: 'peer-broke-rule'; readonly from: Address; readonly reason: string }

// What a node counts since its start. Must never fall.

export type NodeCounters = {
  datagramsIn: number
  datagramsOut: number
  bytesIn: number
  bytesOut: number
  /** Datagrams dropped without effect, by reason. */
  readonly dropped: { [reason in DropReason]: number }
}

/**
 * Malformed: no packet, or frames that cannot be read. Unknown session: no session or handshake has
 * this connection id. Unauthenticated: forged, replayed or protected with an old key. Echo: sent by
 * this node.
 */
export type DropReason = 'malformed' | 'unknown-session' | 'unauthenticated' | 'echo'

export const newCounters = (): NodeCounters => ({
  datagramsIn: 0,
  datagramsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  dropped: { malformed: 0, 'unknown-session': 0, unauthenticated: 0, echo: 0 },
})

// Addresses as text: keys for maps, and the ranges that an unauthenticated peer on the open
// internet cannot come from. Must never resolve anything.

export function addressKey(address: Address): string {
  return `${address.ip} ${address.port}`
}

export function isSameAddress(one: Address, other: Address): boolean {
  return one.port === other.port && one.ip === other.ip
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.')
}

/** Loopback, private, link-local and carrier-grade ranges (RFC 1918, 6598, 3927, 4193, 4291). */
export function isPrivate(ip: string): boolean {
  if (isLoopback(ip)) return true
  if (ip.includes(':')) return /^(?:f[cd][\da-f]|fe[89ab])[\da-f]:/i.test(ip)
  const [first = 0, second = 0] = ip.split('.', 2).map(Number)
  if (first === 10) return true
  if (first === 172) return second >= 16 && second <= 31
  if (first === 192) return second === 168
  if (first === 169) return second === 254
  return first === 100 && second >= 64 && second <= 127
}

export function showAddress(address: Address): string {
  return address.ip.includes(':')
    ? `[${address.ip}]:${address.port}`
    : `${address.ip}:${address.port}`
}
