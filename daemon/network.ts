/**
 * The addresses of this machine, now and whenever they change. Must never resolve a name.
 */
import { networkInterfaces } from 'node:os'

/** A laptop that wakes or a container that is connected anew is noticed within this time. */
const lookAgainMs = 5_000

/** Every address of every interface, sorted, without scopes. */
export function ownAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
  return Array.from(new Set(addresses.map(({ address }) => address))).toSorted()
}

/** Tells the addresses at once, and again after each change. */
export class NetworkWatch {
  readonly #onChange: (ips: readonly string[]) => void
  readonly #read: () => string[]
  #known = ''
  #timer: NodeJS.Timeout | undefined

  constructor(onChange: (ips: readonly string[]) => void, read = ownAddresses) {
    this.#onChange = onChange
    this.#read = read
  }

  start(): void {
    this.look()
    this.#timer = setInterval(() => this.look(), lookAgainMs)
  }

  look(): void {
    const ips = this.#read()
    const key = ips.join()
    if (key === this.#known) return
    this.#known = key
    this.#onChange(ips)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
