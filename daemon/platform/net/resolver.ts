/**
 * From names to addresses, next to the path of the packets: each name once at a time, an answer
 * within ten seconds whatever the resolver of the system does, and the last known addresses while
 * it does not answer. A name that hangs delays no other (P6). Must never be asked to check an
 * address.
 */
import { lookup, type LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import { canonicalIp } from './ip.ts'
import { type Cancel, type Scheduler, systemScheduler } from '../../../sdk/schema/scheduler.ts'

export type Resolved = {
  readonly host: string
  /** In the order of preference; none when it failed. */
  readonly ips: readonly string[]
  /** '' or why there are none. */
  readonly reason: string
}

export type LookupCallback = (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void
/** Like `dns.lookup` with `all`. */
export type Lookup = (host: string, callback: LookupCallback) => void

/** Beyond this the name counts as unknown; the system may still be trying. */
const answerMs = 10_000
/** Where addresses are known from before (RFC 8767: the client response timer) … */
const staleAnswerMs = 1_800
/** … and not longer ago than this (RFC 8767: the maximum stale timer). */
const staleMs = 86_400_000
/** Many lanes may ask for one name at once; a container that has moved must be found soon. */
const cacheMs = 2_000
/** What names of an unauthenticated peer's choice can make this class remember. */
const namesMax = 1_000
/** A name that takes longer is slow: slow ones leave one half of the flights to the others. */
const slowMs = 1_800

/** What the system would read as an address, octal and hexadecimal: 010.0.0.1 as 8.0.0.1. */
const numbers = /^(?:0x[\da-f]{0,8}|\d{1,11})(?:\.(?:0x[\da-f]*|\d+)){0,3}\.?$/i
const notAnAddress =
  'not an address: write four numbers from 0 to 255, without zeros in front of them'
const goneCodes = new Set<string | undefined>(['ENOTFOUND', 'ENODATA'])

export const systemLookup: Lookup = (host, callback) => lookup(host, { all: true }, callback)

export class Resolver {
  readonly #onResolved: (resolved: Resolved) => void
  readonly #flightsMax: number
  readonly #lookup: Lookup
  readonly #scheduler: Scheduler
  readonly #cache = new Map<string, { readonly resolved: Resolved; readonly atMs: number }>()
  /** Names that somebody waits for, with the timer that answers in the system's stead. */
  readonly #asked = new Map<string, Cancel>()
  /** Names that wait for a flight, the oldest first. */
  readonly #waiting = new Set<string>()
  /** Names that the system is busy with, and since when. */
  readonly #flights = new Map<string, number>()
  readonly #slow = new Set<string>()

  /** @param flightsMax look-ups at a time: `systemOrOther` may need a thread for each. */
  constructor(
    onResolved: (resolved: Resolved) => void,
    flightsMax: number,
    systemOrOther: Lookup = systemLookup,
    scheduler = systemScheduler,
  ) {
    this.#onResolved = onResolved
    this.#flightsMax = flightsMax
    this.#lookup = systemOrOther
    this.#scheduler = scheduler
  }

  /**
   * Answers through the callback: at once for an address or a name that is cached, later otherwise.
   */
  resolve(host: string): void {
    if (isIP(host) !== 0) return this.#onResolved({ host, ips: [canonicalIp(host)], reason: '' })
    if (numbers.test(host)) return this.#onResolved({ host, ips: [], reason: notAnAddress })
    const cached = this.#cached(host, cacheMs)
    if (cached !== undefined) return this.#onResolved(cached)
    if (!this.#asked.has(host)) this.#asked.set(host, this.#answerLater(host))
    if (!this.#flights.has(host)) this.#waiting.add(host)
    this.#takeOff()
    return undefined
  }

  stop(): void {
    this.#waiting.clear()
    for (const cancel of this.#asked.values()) cancel()
    this.#asked.clear()
    this.#flights.clear()
  }

  get #nowMs(): number {
    return this.#scheduler.nowUs() / 1_000
  }

  #takeOff(): void {
    const slowMax = Math.ceil(this.#flightsMax / 2)
    let slow = [...this.#flights.keys()].filter((host) => this.#slow.has(host)).length
    for (const host of this.#waiting) {
      if (this.#flights.size >= this.#flightsMax) return
      if (this.#slow.has(host) && ++slow > slowMax) continue
      this.#waiting.delete(host)
      this.#flights.set(host, this.#nowMs)
      this.#lookup(host, (error, found) => this.#land(host, error, found))
    }
  }

  #answerLater(host: string): Cancel {
    const isKnown = this.#cached(host, staleMs) !== undefined
    return this.#scheduler.after(isKnown ? staleAnswerMs : answerMs, () => this.#giveUp(host))
  }

  #giveUp(host: string): void {
    this.#asked.delete(host)
    if (this.#flights.has(host)) this.#setSlow(host)
    const reason = 'the name service did not answer within 10 s'
    this.#onResolved(this.#cached(host, staleMs) ?? { host, ips: [], reason })
    this.#takeOff()
  }

  #land(host: string, error: NodeJS.ErrnoException | null, found: LookupAddress[]): void {
    const sinceMs = this.#flights.get(host)
    if (sinceMs === undefined) return
    this.#flights.delete(host)
    if (this.#nowMs - sinceMs > slowMs) this.#setSlow(host)
    else this.#slow.delete(host)
    const resolved = this.#outcome(host, error, found)
    const cancel = this.#asked.get(host)
    cancel?.()
    this.#asked.delete(host)
    // What comes too late to be waited for is news all the same.
    if (cancel !== undefined || resolved.ips.length > 0) this.#onResolved(resolved)
    this.#takeOff()
  }

  #outcome(host: string, error: NodeJS.ErrnoException | null, found: LookupAddress[]): Resolved {
    // A name that does not exist has lost its addresses; one that cannot be asked for has not.
    const isGone = error === null || goneCodes.has(error.code)
    const known = isGone ? undefined : this.#cached(host, staleMs)
    if (known !== undefined) return known
    const resolved = error === null ? success(host, found) : failure(host, error)
    this.#cache.delete(host)
    this.#cache.set(host, { resolved, atMs: this.#nowMs })
    dropOldest(this.#cache)
    return resolved
  }

  /** Failures count for as long as they keep many lanes from asking the same, and no longer. */
  #cached(host: string, ageMs: number): Resolved | undefined {
    const cached = this.#cache.get(host)
    if (cached === undefined || this.#nowMs - cached.atMs > ageMs) return undefined
    return ageMs > cacheMs && cached.resolved.ips.length === 0 ? undefined : cached.resolved
  }

  #setSlow(host: string): void {
    this.#slow.add(host)
    dropOldest(this.#slow)
  }
}

function dropOldest(names: Map<string, unknown> | Set<string>): void {
  const [oldest] = names.keys()
  if (names.size > namesMax && oldest !== undefined) names.delete(oldest)
}

function success(host: string, found: readonly LookupAddress[]): Resolved {
  const ips = found.map(({ address }) => canonicalIp(address))
  return { host, ips, reason: ips.length === 0 ? 'the name has no address' : '' }
}

const reasons: { readonly [code: string]: string } = {
  ENOTFOUND: 'name not known',
  ENODATA: 'the name has no address',
  EAI_AGAIN: 'the name service does not answer',
  ETIMEDOUT: 'the name service does not answer',
}

function failure(host: string, { code = 'unknown' }: NodeJS.ErrnoException): Resolved {
  return { host, ips: [], reason: `${reasons[code] ?? 'the name cannot be resolved'} (${code})` }
}
