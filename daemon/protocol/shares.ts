/**
 * Who holds how much of what all peers share. When it is full, whoever holds most gives way, so one
 * peer alone never crowds out the others. Must never know what an item is.
 */
import { isPrivate } from './io.ts'

export class Shares<Item> {
  /** Insertion order is age, of owners and of items. */
  readonly #byOwner = new Map<string, Set<Item>>()

  add(owner: string, item: Item): void {
    const items = this.#byOwner.get(owner)
    if (items === undefined) this.#byOwner.set(owner, new Set([item]))
    else items.add(item)
  }

  remove(owner: string, item: Item): void {
    const items = this.#byOwner.get(owner)
    items?.delete(item)
    if (items?.size === 0) this.#byOwner.delete(owner)
  }

  clear(): void {
    this.#byOwner.clear()
  }

  of(owner: string): ReadonlySet<Item> {
    return this.#byOwner.get(owner) ?? new Set()
  }

  /** The items of the owner that has most, oldest first. */
  fullest(): ReadonlySet<Item> {
    let fullest: ReadonlySet<Item> = new Set()
    for (const items of this.#byOwner.values()) if (items.size > fullest.size) fullest = items
    return fullest
  }
}

/**
 * What one machine can have many addresses of, as text: a public IPv6 address counts as its /64.
 * Addresses of one private network are those of many machines.
 */
export function sourceOf(ip: string): string {
  if (!ip.includes(':') || isPrivate(ip)) return ip
  const [before = '', after] = ip.split('::', 2)
  const head = before.split(':')
  const tail = after === undefined ? [] : after.split(':')
  const zeros = after === undefined ? 0 : Math.max(0, 8 - head.length - tail.length)
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail]
  return groups
    .slice(0, 4)
    .map((group) => group || '0')
    .join(':')
}

/** Who is charged for a session: the key, or without one where it comes from. */
export function ownerOf(key: string, ip: string): string {
  // No key has a name that begins with a space.
  return key === '' ? ` ${sourceOf(ip)}` : key
}
