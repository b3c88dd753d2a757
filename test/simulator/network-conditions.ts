/**
 * The network between the machines: each direction between two machines is a list of parts with a
 * state of its own, and can be blocked or narrowed. Must never look inside a datagram.
 */
import type { Address } from '../../daemon/protocol/io.ts'
import {
  burstLoss,
  corruption,
  delay,
  detour,
  duplication,
  gate,
  holding,
  jitter,
  loss,
  mtu,
  rate,
  type InTransit,
  type Moment,
  type WirePart,
} from '../../sdk/testing/wire-parts.ts'
import { cleanLink, type LinkPlan } from './plan.ts'

/** A queue holds so much time of its link. */
const queueSeconds = 0.2
const queueBytesMin = 3_000

type Direction = {
  parts: readonly WirePart[]
  /** How many blocks lie on it: they may overlap. */
  blocks: number
  bytesMax: number
}

export class NetworkConditions {
  readonly #plan: LinkPlan
  readonly #placeOf: (address: Address) => string
  readonly #directions = new Map<string, Direction>()
  #isPeace = false

  /** `placeOf`: the machine that has, or had, an address. */
  constructor(plan: LinkPlan, placeOf: (address: Address) => string) {
    this.#plan = plan
    this.#placeOf = placeOf
  }

  /** For `VirtualNetwork`. */
  readonly part: WirePart = (datagram, moment) =>
    carry(
      this.#direction(this.#placeOf(datagram.from), this.#placeOf(datagram.to)),
      datagram,
      moment,
    )

  block(from: string, to: string): void {
    this.#direction(from, to).blocks++
  }

  unblock(from: string, to: string): void {
    const direction = this.#direction(from, to)
    direction.blocks = Math.max(0, direction.blocks - 1)
  }

  /** Longer datagrams vanish without a word from now on. */
  narrow(from: string, to: string, bytesMax: number): void {
    this.#direction(from, to).bytesMax = bytesMax
  }

  /** From now on nothing goes wrong. */
  makePeace(): void {
    this.#isPeace = true
    this.#directions.clear()
  }

  #direction(from: string, to: string): Direction {
    const key = `${from} ${to}`
    const known = this.#directions.get(key)
    if (known !== undefined) return known
    const direction: Direction = { parts: [], blocks: 0, bytesMax: Infinity }
    direction.parts = partsOf(this.#isPeace ? cleanLink : this.#plan, direction)
    this.#directions.set(key, direction)
    return direction
  }
}

function partsOf(plan: LinkPlan, direction: Direction): readonly WirePart[] {
  const parts = [gate(() => direction.blocks === 0), mtu(() => direction.bytesMax)]
  if (plan.bytesPerSecond > 0) {
    const queueBytes = Math.max(queueBytesMin, plan.bytesPerSecond * queueSeconds)
    parts.push(rate(plan.bytesPerSecond, queueBytes))
  }
  parts.push(delay(plan.delayUs))
  if (plan.loss > 0) parts.push(loss(plan.loss))
  if (plan.burst > 0) parts.push(burstLoss(plan.burst, plan.burstUs))
  if (plan.jitterUs > 0) parts.push(jitter(plan.jitterUs))
  if (plan.duplication > 0) parts.push(duplication(plan.duplication, 100_000))
  if (plan.detour > 0) parts.push(detour(plan.detour, plan.detourUs))
  if (plan.held > 0) parts.push(holding(plan.held, plan.heldUsMax))
  if (plan.corruption > 0) parts.push(corruption(plan.corruption))
  return parts
}

function carry(direction: Direction, datagram: InTransit, moment: Moment): readonly InTransit[] {
  let datagrams: readonly InTransit[] = [datagram]
  for (const part of direction.parts) datagrams = datagrams.flatMap((one) => part(one, moment))
  return datagrams
}
