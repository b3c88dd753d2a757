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
} from './limits.ts'

/** `random` is uniform in 0 … 1. */
export function helloPauseUs(attempt: number, outageUs: number, random: number): number {
  const young = Math.min(helloPauseFirstUs * helloPauseGrowth ** attempt, helloPauseYoungUs)
  const pause = Math.min(Math.max(young, outageUs / helloPauseOutageShare), helloPauseMaxUs)
  return Math.round(pause * (1 - helloPauseJitter * random))
}
