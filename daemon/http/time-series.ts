/**
 * What a daemon has done lately, for the curves of the page: points of its totals, a second apart
 * for ten minutes and a minute apart for a day. A point is added only when something has happened,
 * so that an idle daemon is not woken for it; what lies between is worked out when it is read.
 * Must never hold more than its two rings.
 */
import { commitBoundsUs } from '../store/metrics.ts'
import type { History as Answer, HistorySample } from './api-types.ts'

/** Totals since the daemon started, and what was there at that moment. */
export type HistoryPoint = {
  /** Wall clock, ms. */
  readonly at: number
  readonly sent: number
  readonly received: number
  /** Rows in mqout. */
  readonly waiting: number
  /** `created_at` of the oldest of them; null when there is none. */
  readonly oldestAt: number | null
}

const secondMs = 1_000
const minuteMs = 60_000
const fineMinutes = 10
export const historyMinutesMax = 24 * 60
/** Points come a second apart, or a little more; what comes later ended a silence. */
const silenceMs = 2_500

export class TimeSeries {
  readonly #startedAt: number
  readonly #fine: HistoryPoint[] = []
  readonly #coarse: HistoryPoint[] = []

  /** @param startedAt wall clock, ms. */
  constructor(startedAt: number) {
    this.#startedAt = startedAt
  }

  add(point: HistoryPoint): void {
    append(this.#fine, point, fineMinutes * minuteMs)
    const last = this.#coarse.at(-1)
    // The last point of each minute stands for it.
    if (last !== undefined && minuteOf(last) === minuteOf(point)) this.#coarse.pop()
    append(this.#coarse, point, historyMinutesMax * minuteMs)
  }

  /** The last `minutes` of them, 1 to 1440: by seconds up to ten, then by minutes. */
  read(minutes: number, nowMs: number): Answer {
    const isFine = minutes <= fineMinutes
    const stepMs = isFine ? secondMs : minuteMs
    const points = isFine ? this.#fine : this.#coarse
    const count = Math.floor((minutes * minuteMs) / stepMs)
    // A second that is not over yet has no rate.
    const endMs = Math.floor(nowMs / stepMs) * stepMs
    const times = Array.from({ length: count }, (_, index) => endMs - (count - 1 - index) * stepMs)
    const known = times.filter((at) => at > this.#startedAt)
    return { stepMs, startedAt: this.#startedAt, samples: samplesAt(points, known, stepMs) }
  }
}

const minuteOf = ({ at }: HistoryPoint): number => Math.floor(at / minuteMs)

function append(ring: HistoryPoint[], point: HistoryPoint, keepMs: number): void {
  // The clock was set back: what lies ahead of it is no history.
  while ((ring.at(-1)?.at ?? -Infinity) >= point.at) ring.pop()
  ring.push(point)
  // One older point stays: it is what was there when the window began.
  while ((ring[1]?.at ?? Infinity) <= point.at - keepMs) ring.shift()
}

function samplesAt(
  points: readonly HistoryPoint[],
  times: readonly number[],
  stepMs: number,
): HistorySample[] {
  let next = 0
  const totalsAt = (at: number): { sent: number; received: number; last?: HistoryPoint } => {
    while (next < points.length && (points[next]?.at ?? Infinity) <= at) next++
    const [last, following] = [points[next - 1], points[next]]
    const part = following === undefined ? 0 : passedPart(last, following, at)
    const between = (name: 'sent' | 'received'): number => {
      const from = last?.[name] ?? 0
      return from + part * ((following?.[name] ?? from) - from)
    }
    return { sent: between('sent'), received: between('received'), ...(last && { last }) }
  }
  let before = totalsAt((times[0] ?? 0) - stepMs)
  return times.map((at) => {
    const now = totalsAt(at)
    const perS = (name: 'sent' | 'received'): number =>
      Math.max(0, ((now[name] - before[name]) * secondMs) / stepMs)
    const sample = { at, sentPerS: perS('sent'), receivedPerS: perS('received') }
    before = now
    return { ...sample, ...backlogOf(now.last, at) }
  })
}

/** How much of what happened up to `following` had happened at `at`, 0 to 1. */
function passedPart(last: HistoryPoint | undefined, following: HistoryPoint, at: number): number {
  const lastAt = last?.at ?? -Infinity
  const from = following.at - lastAt > silenceMs ? following.at - secondMs : lastAt
  return Math.max(0, (at - from) / (following.at - from))
}

/** Nothing has happened since the last point: the same rows wait, and grow older. */
function backlogOf(
  last: HistoryPoint | undefined,
  at: number,
): Pick<HistorySample, 'waiting' | 'oldestAgeMs'> {
  const oldestAt = last?.oldestAt ?? null
  return {
    waiting: last?.waiting ?? 0,
    oldestAgeMs: oldestAt === null ? null : Math.max(0, at - oldestAt),
  }
}

// What the classes of commit times tell. Must never claim more than the classes know.

/**
 * The time that a part of the commits did not exceed, taken to be spread evenly within its class.
 * @param counts how many are in each class, as in `Done.commitTimes`.
 * @returns microseconds; null when there were none; of the open class its lower bound.
 */
export function percentileUs(counts: readonly number[], part: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let rank = part * total
  for (const [index, count] of counts.entries()) {
    const [from, to] = [commitBoundsUs[index - 1] ?? 0, commitBoundsUs[index]]
    if (to === undefined) return from
    if (count > 0 && rank <= count) return Math.round(from + ((to - from) * rank) / count)
    rank -= count
  }
  return commitBoundsUs.at(-1) ?? null
}
