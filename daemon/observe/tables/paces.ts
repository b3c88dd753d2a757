/**
 * How fast each stream of messages moves, and how much of what it sends is lost: worked out from
 * successive looks at its totals. Must never remember a stream that is gone.
 */

/** The totals of a stream at one moment. */
export type PaceTotals = {
  readonly watermark: number
  readonly packets: number | null
  readonly lost: number | null
}

/** Null: nothing to go by. */
export type Pace = { readonly rowsPerS: number | null; readonly lossShare: number | null }

type Look = PaceTotals & { readonly atMs: number }

const rateMs = 5_000
const lossMs = 60_000
/** Two looks that are closer together say nothing new. */
const looksApartMs = 500

export class Paces {
  #looks = new Map<string, Look[]>()

  /** `atMs` of a monotonic clock; `now`: all streams that there are, by name. */
  onLook(now: ReadonlyMap<string, PaceTotals>, atMs: number): void {
    const before = this.#looks
    this.#looks = new Map()
    for (const [name, totals] of now) {
      const looks = before.get(name) ?? []
      const last = looks.at(-1)
      // A stream that was given up for a new one begins again at 0.
      if (last !== undefined && isBehind(totals, last)) looks.length = 0
      if (last === undefined || atMs - last.atMs >= looksApartMs || looks.length === 0) {
        looks.push({ ...totals, atMs })
      }
      while ((looks[1]?.atMs ?? Infinity) <= atMs - lossMs) looks.shift()
      this.#looks.set(name, looks)
    }
  }

  paceOf(name: string): Pace {
    const looks = this.#looks.get(name) ?? []
    const last = looks.at(-1)
    const first = looks[0]
    if (last === undefined || first === undefined || first === last) {
      return { rowsPerS: null, lossShare: shareOf(last?.packets ?? 0, last?.lost ?? 0) }
    }
    const from = looks.findLast(({ atMs }) => atMs <= last.atMs - rateMs) ?? first
    const rows = last.watermark - from.watermark
    const [packets, lost] = [packetsOf(last) - packetsOf(first), lostOf(last) - lostOf(first)]
    return {
      rowsPerS: (rows * 1_000) / (last.atMs - from.atMs),
      lossShare: packets > 0 ? shareOf(packets, lost) : shareOf(packetsOf(last), lostOf(last)),
    }
  }
}

const packetsOf = ({ packets }: PaceTotals): number => packets ?? 0
const lostOf = ({ lost }: PaceTotals): number => lost ?? 0

function isBehind(now: PaceTotals, before: PaceTotals): boolean {
  return now.watermark < before.watermark || packetsOf(now) < packetsOf(before)
}

function shareOf(packets: number, lost: number): number | null {
  return packets === 0 ? null : Math.min(1, Math.max(0, lost / packets))
}
