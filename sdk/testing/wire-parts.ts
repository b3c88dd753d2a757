/**
 * What a simulated path is made of: a list of parts, each of which takes a datagram and gives out
 * none, one or more. A scenario reads as a picture of the path. Must never look inside a datagram.
 */
import type { Address } from '../../daemon/protocol/io.ts'
import type { SeededRandom } from './lossy-network.ts'

export type InTransit = {
  readonly from: Address
  readonly to: Address
  readonly bytes: Uint8Array
  /** From when it was sent to when it arrives. */
  readonly delayUs: number
}

export type Moment = { readonly nowUs: number; readonly random: SeededRandom }

export type WirePart = (datagram: InTransit, moment: Moment) => readonly InTransit[]

export function delay(us: number): WirePart {
  return (datagram) => [later(datagram, us)]
}

/** Up to so much more, each by its own chance: datagrams overtake each other. */
export function jitter(us: number): WirePart {
  return (datagram, { random }) => [later(datagram, Math.floor(us * random.next()))]
}

export function loss(part: number): WirePart {
  return (datagram, { random }) => (random.chance(part) ? [] : [datagram])
}

/** Loss in bursts: each lasts until so much time has gone by, `meanUs` on average. */
export function burstLoss(startsPart: number, meanUs: number): WirePart {
  let untilUs = -Infinity
  return (datagram, { nowUs, random }) => {
    if (nowUs < untilUs) return []
    if (!random.chance(startsPart)) return [datagram]
    untilUs = nowUs - meanUs * Math.log(1 - random.next())
    return []
  }
}

/** The double comes up to `apartUs` later. */
export function duplication(part: number, apartUs: number): WirePart {
  return (datagram, { random }) => {
    if (!random.chance(part)) return [datagram]
    return [datagram, later(datagram, random.below(apartUs))]
  }
}

/** Some datagrams take the long way. */
export function detour(part: number, us: number): WirePart {
  return (datagram, { random }) => [random.chance(part) ? later(datagram, us) : datagram]
}

/** Some datagrams are held back, each for as long as its own chance says, while others pass. */
export function holding(part: number, usMax: number): WirePart {
  return (datagram, { random }) => {
    if (!random.chance(part)) return [datagram]
    return [later(datagram, Math.floor(usMax * random.next()))]
  }
}

/** One byte is another one. */
export function corruption(part: number): WirePart {
  return (datagram, { random }) => {
    if (!random.chance(part)) return [datagram]
    const bytes = Uint8Array.from(datagram.bytes)
    const place = random.below(bytes.length)
    bytes[place] = (bytes[place] ?? 0) ^ (1 + random.below(255))
    return [{ ...datagram, bytes }]
  }
}

/** A queue that drops what does not fit, drained at a fixed rate. One for each direction. */
export function rate(bytesPerSecond: number, bufferBytes: number): WirePart {
  let freeAtUs = 0
  return (datagram, { nowUs }) => {
    const arrivesUs = nowUs + datagram.delayUs
    const queueUs = Math.max(0, freeAtUs - arrivesUs)
    if ((queueUs * bytesPerSecond) / 1e6 > bufferBytes) return []
    const takesUs = (datagram.bytes.length * 1e6) / bytesPerSecond
    freeAtUs = arrivesUs + queueUs + takesUs
    return [later(datagram, Math.ceil(queueUs + takesUs))]
  }
}

/** Longer datagrams vanish. */
export function mtu(bytes: () => number): WirePart {
  return (datagram) => (datagram.bytes.length > bytes() ? [] : [datagram])
}

/** Nothing passes while it is closed. */
export function gate(isOpen: (nowUs: number) => boolean): WirePart {
  return (datagram, { nowUs }) => (isOpen(nowUs) ? [datagram] : [])
}

/** What the scenario picks out vanishes. */
export function filter(passes: (datagram: InTransit) => boolean): WirePart {
  return (datagram) => (passes(datagram) ? [datagram] : [])
}

function later(datagram: InTransit, us: number): InTransit {
  return { ...datagram, delayUs: datagram.delayUs + us }
}
