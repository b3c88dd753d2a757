/**
 * The condition of a link: what is asked for in words of our own, what `tc` is given, and what
 * the kernel says that it does. Must never run anything: wire.ts does.
 */

import { TinymqError } from '../schema/errors.ts'

/**
 * What the network does to the datagrams that a machine sends. What is left out is left alone. It
 * is one direction: for 30 % loss both ways, both machines lose 30 %.
 */
export type LinkConditions = {
  /** So many of a hundred datagrams are lost, each for itself. */
  readonly lossPercent?: number
  /** Each waits so long, milliseconds. */
  readonly delayMs?: number
  /** Plus or minus so much, milliseconds; it takes a delay, and reorders what it overtakes. */
  readonly jitterMs?: number
  /** So many go at once, before those that are delayed; it takes a delay. */
  readonly reorderPercent?: number
  /** So many come twice. */
  readonly duplicatePercent?: number
  /** In so many a bit is flipped. */
  readonly corruptPercent?: number
  /** Kilobits a second. */
  readonly rateKbit?: number
}

type Name = keyof LinkConditions

const names: readonly Name[] = [
  'lossPercent',
  'delayMs',
  'jitterMs',
  'reorderPercent',
  'duplicatePercent',
  'corruptPercent',
  'rateKbit',
]

const badLink = (sentence: string): TinymqError =>
  new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)

/**
 * Rejects what `tc` would take for something else.
 * @throws TinymqError TINYMQ_INVALID_ARGUMENT
 */
export function checkConditions(conditions: LinkConditions): void {
  const unknown = Object.keys(conditions).find((name) => !names.includes(name as Name))
  if (unknown !== undefined) {
    throw badLink(`a link has no ${unknown}: give one of ${names.join(', ')}`)
  }
  for (const name of names) {
    const value = conditions[name]
    if (value === undefined) continue
    if (!Number.isFinite(value) || value < 0) {
      throw badLink(`${name} must be a number, 0 or more, and is ${value}`)
    }
    if (name.endsWith('Percent') && value > 100) {
      throw badLink(`${name} must be at most 100, and is ${value}`)
    }
  }
  const { delayMs = 0, jitterMs = 0, reorderPercent = 0 } = conditions
  if (delayMs > 0) return
  if (jitterMs > 0) throw badLink('jitterMs takes a delayMs to vary')
  if (reorderPercent > 0)
    throw badLink('reorderPercent takes a delayMs, for others to be overtaken')
}

/**
 * The words for `tc qdisc add … netem`; none when nothing is asked for.
 * @throws TinymqError TINYMQ_INVALID_ARGUMENT
 */
export function netemWords(conditions: LinkConditions): string[] {
  checkConditions(conditions)
  const { lossPercent, delayMs, jitterMs, reorderPercent } = conditions
  const { duplicatePercent, corruptPercent, rateKbit } = conditions
  const words = [
    positive(delayMs) ? ['delay', `${delayMs}ms`] : [],
    positive(jitterMs) ? [`${jitterMs}ms`] : [],
    positive(lossPercent) ? ['loss', `${lossPercent}%`] : [],
    positive(duplicatePercent) ? ['duplicate', `${duplicatePercent}%`] : [],
    positive(reorderPercent) ? ['reorder', `${reorderPercent}%`] : [],
    positive(corruptPercent) ? ['corrupt', `${corruptPercent}%`] : [],
    positive(rateKbit) ? ['rate', `${rateKbit}kbit`] : [],
  ].flat()
  return words
}

const positive = (value: number | undefined): boolean => value !== undefined && value > 0

/** The part that we read of `tc -j -s qdisc show`. Shares are from 0 to 1, times in seconds. */
type Qdisc = {
  readonly kind: string
  readonly packets?: number
  readonly drops?: number
  readonly options?: {
    readonly delay?: { readonly delay: number; readonly jitter: number }
    readonly 'loss-random'?: { readonly loss: number }
    readonly duplicate?: { readonly duplicate: number }
    readonly reorder?: { readonly reorder: number }
    readonly corrupt?: { readonly corrupt: number }
    readonly rate?: { readonly rate: number }
  }
}

/** What the kernel says of a link. */
export type LinkReading = {
  readonly conditions: LinkConditions
  /** Datagrams that left since the conditions were set, and those that it lost on purpose. */
  readonly packets: number
  readonly drops: number
}

/** Reads what `tc -j -s qdisc show dev …` printed. */
export function parseReading(json: string): LinkReading {
  const queues = JSON.parse(json) as readonly Qdisc[]
  const netem = queues.find(({ kind }) => kind === 'netem')
  const { packets = 0, drops = 0 } = netem ?? queues[0] ?? {}
  const options = netem?.options ?? {}
  const found: Record<Name, number> = {
    lossPercent: 100 * (options['loss-random']?.loss ?? 0),
    delayMs: 1_000 * (options.delay?.delay ?? 0),
    jitterMs: 1_000 * (options.delay?.jitter ?? 0),
    reorderPercent: 100 * (options.reorder?.reorder ?? 0),
    duplicatePercent: 100 * (options.duplicate?.duplicate ?? 0),
    corruptPercent: 100 * (options.corrupt?.corrupt ?? 0),
    rateKbit: ((options.rate?.rate ?? 0) * 8) / 1_000,
  }
  const conditions = Object.fromEntries(
    names.filter((name) => found[name] > 0).map((name) => [name, rounded(found[name])]),
  )
  return { conditions, packets, drops }
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000

// The kernel keeps shares as parts of 2^32 and times as ticks, so what comes back is a little off.
const toleratedPart = 0.01

/** What differs between what was asked for and what the kernel says; '' when nothing does. */
export function difference(asked: LinkConditions, found: LinkConditions): string {
  return names
    .filter((name) => {
      const [want = 0, have = 0] = [asked[name], found[name]]
      return Math.abs(want - have) > toleratedPart * Math.max(want, have)
    })
    .map((name) => `${name} is ${found[name] ?? 0} and should be ${asked[name] ?? 0}`)
    .join(', ')
}

/** The conditions in a few words: "loss 30 %, delay 50 ms ± 20 ms"; "clean" when there are none. */
export function describeLink(conditions: LinkConditions): string {
  const { lossPercent, delayMs, jitterMs, reorderPercent } = conditions
  const { duplicatePercent, corruptPercent, rateKbit } = conditions
  const parts = [
    positive(lossPercent) ? `loss ${lossPercent} %` : '',
    positive(delayMs) ? `delay ${delayMs} ms${positive(jitterMs) ? ` ± ${jitterMs} ms` : ''}` : '',
    positive(reorderPercent) ? `reorder ${reorderPercent} %` : '',
    positive(duplicatePercent) ? `duplicate ${duplicatePercent} %` : '',
    positive(corruptPercent) ? `corrupt ${corruptPercent} %` : '',
    positive(rateKbit) ? `rate ${rateKbit} kbit/s` : '',
  ].filter((part) => part !== '')
  return parts.length === 0 ? 'clean' : parts.join(', ')
}
