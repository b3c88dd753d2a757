/**
 * Chance that a seed decides (mulberry32), for models. Must never be used where an attacker may
 * guess, nor outside tests.
 */
import { assert } from '../../daemon/protocol/assert.ts'

export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to less than 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** A whole number from 0 to less than `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  one<T>(things: readonly T[]): T {
    const thing = things[this.below(things.length)]
    assert(thing !== undefined, 'There is one to draw.')
    return thing
  }

  /** One of `things`, each as likely as its weight says. */
  oneByWeight<T extends { readonly weight: number }>(things: readonly T[]): T {
    let left = this.next() * things.reduce((sum, { weight }) => sum + weight, 0)
    const thing = things.find(({ weight }) => (left -= weight) < 0)
    assert(thing !== undefined, 'Weights add up.')
    return thing
  }
}
