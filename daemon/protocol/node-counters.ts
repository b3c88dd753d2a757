/**
 * What a node counts since its start. Must never fall.
 */
export type NodeCounters = {
  datagramsIn: number
  datagramsOut: number
  bytesIn: number
  bytesOut: number
  /** Dropped without an answer: unknown form, unknown session, forged, replayed, our own. */
  junk: number
}

export const noneCounted: Readonly<NodeCounters> = {
  datagramsIn: 0,
  datagramsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  junk: 0,
}
