/**
 * From names to addresses, beside the path of the packets: few look-ups at a time, each name once,
 * an answer within ten seconds whatever the resolver of the system does. Must never be asked to
 * judge an address.
 */
import { lookup, type LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import { canonicalIp } from './ip.ts'

export type Resolved = {
  readonly host: string
  /** In the order of preference; none when it failed. */
  readonly ips: readonly string[]
  /** '' or why there are none. */
  readonly reason: string
}

type LookupCallback = (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void
/** Like `dns.lookup` with `all`. */
export type Lookup = (host: string, callback: LookupCallback) => void

/** Beyond this the name counts as unknown; the system may still be trying. */
const answerMs = 10_000
/** Many lanes may ask for one name at once; a container that has moved must be found soon. */
const cacheMs = 2_000
/** What a name of a stranger's choice can make this class remember. */
const cacheMax = 1_000

export const systemLookup: Lookup = (host, callback) => lookup(host, { all: true }, callback)

export class Resolver {
  readonly #onResolved: (resolved: Resolved) => void
  readonly #flightsMax: number
  readonly #lookup: Lookup
  readonly #cache = new Map<string, { readonly resolved: Resolved; readonly untilMs: number }>()
  readonly #waiting = new Set<string>()
  /** Names whose look-up holds a thread, with the timer that answers in its stead. */
  readonly #flights = new Map<string, NodeJS.Timeout | undefined>()

  /**
   * @param flightsMax look-ups at a time. Each holds one of the four threads of the process for
   * such calls: all resolvers together must leave one to the file system.
   */
  constructor(
    onResolved: (resolved: Resolved) => void,
    flightsMax: number,
    systemOrOther: Lookup = systemLookup,
  ) {
    this.#onResolved = onResolved
    this.#flightsMax = flightsMax
    this.#lookup = systemOrOther
  }

  /**
   * Answers through the callback: at once for an address or a name that is cached, later otherwise.
   */
  resolve(host: string): void {
    if (isIP(host) !== 0) return this.#onResolved({ host, ips: [canonicalIp(host)], reason: '' })
    const cached = this.#cache.get(host)
    if (cached !== undefined && cached.untilMs > performance.now()) {
      return this.#onResolved(cached.resolved)
    }
    const isAnswered = this.#flights.has(host) && this.#flights.get(host) === undefined
    if (isAnswered) {
      // The system is still busy with an attempt that was given up: the answer is the same as then.
      this.#flights.set(host, this.#answerLater(host))
    } else if (!this.#flights.has(host)) this.#waiting.add(host)
    this.#takeOff()
    return undefined
  }

  stop(): void {
    this.#waiting.clear()
    for (const timer of this.#flights.values()) clearTimeout(timer)
    this.#flights.clear()
  }

  #takeOff(): void {
    for (const host of this.#waiting) {
      if (this.#flights.size >= this.#flightsMax) return
      this.#waiting.delete(host)
      this.#flights.set(host, this.#answerLater(host))
      this.#lookup(host, (error, found) => this.#land(host, error, found))
    }
  }

  #answerLater(host: string): NodeJS.Timeout {
    return setTimeout(() => {
      this.#flights.set(host, undefined)
      this.#onResolved({ host, ips: [], reason: 'the name service did not answer within 10 s' })
    }, answerMs)
  }

  #land(host: string, error: NodeJS.ErrnoException | null, found: LookupAddress[]): void {
    if (!this.#flights.has(host)) return
    const timer = this.#flights.get(host)
    clearTimeout(timer)
    this.#flights.delete(host)
    const resolved = error === null ? success(host, found) : failure(host, error)
    this.#remember(resolved)
    if (timer !== undefined) this.#onResolved(resolved)
    this.#takeOff()
  }

  #remember(resolved: Resolved): void {
    if (this.#cache.size >= cacheMax) this.#cache.clear()
    this.#cache.set(resolved.host, { resolved, untilMs: performance.now() + cacheMs })
  }
}

function success(host: string, found: readonly LookupAddress[]): Resolved {
  const ips = found.map(({ address }) => canonicalIp(address))
  return { host, ips, reason: ips.length === 0 ? 'the name has no address' : '' }
}

const reasons: { readonly [code: string]: string } = {
  ENOTFOUND: 'name not known',
  ENODATA: 'the name has no address',
  EAI_AGAIN: 'the name service does not answer',
}

function failure(host: string, { code = 'unknown' }: NodeJS.ErrnoException): Resolved {
  return { host, ips: [], reason: `${reasons[code] ?? 'the name cannot be resolved'} (${code})` }
}
