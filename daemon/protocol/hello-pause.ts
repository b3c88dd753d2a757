/**
 * How long to wait before the next HELLO1 to a peer that does not answer: short while the outage is
 * young, then a fixed share of it, so that nobody who returns waits long in proportion (P12), and
 * the dead cost little.
 */
import {
  helloPauseFirstUs,
  helloPauseGrowth,
  helloPauseJitter,
  helloPauseMaxUs,
  helloPauseOutageShare,
  helloPauseYoungUs,
  helloQuietAfterUs,
  helloQuietEveryUs,
  helloQuietUs,
} from './limits.ts'

/** `random` is uniform in 0 … 1. */
export function helloPauseUs(attempt: number, outageUs: number, random: number): number {
  const young = Math.min(helloPauseFirstUs * helloPauseGrowth ** attempt, helloPauseYoungUs)
  const pause = Math.min(Math.max(young, outageUs / helloPauseOutageShare), helloPauseMaxUs)
  return Math.round(pause * (1 - helloPauseJitter * random))
}

/** All lanes are quiet at the same time: one datagram would keep a stale flow alive. */
export function isHelloQuiet(atUs: number, outageUs: number): boolean {
  return outageUs >= helloQuietAfterUs && atUs % helloQuietEveryUs < helloQuietUs
}

/** A moment before the quiet time or after it, each within a second, for a HELLO1 due in it. */
export function besideQuietUs(dueUs: number, nowUs: number): number {
  const intoUs = dueUs % helloQuietEveryUs
  const startUs = dueUs - intoUs
  const spreadUs = Math.floor((intoUs * 1_000_000) / helloQuietUs)
  return startUs - spreadUs > nowUs ? startUs - spreadUs : startUs + helloQuietUs + spreadUs
}
