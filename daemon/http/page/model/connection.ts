/**
 * What the page knows of the daemon right now, and whether it still hears from it. Must never let a
 * number that is old pass for a fresh one: whoever shows an overview shows the link too.
 */
import type { Overview } from '../../api-types.ts'

/** Why nothing comes, for people. */
export type Failure = {
  readonly code: string
  readonly message: string
  readonly hint: string
  /** The daemon is there, what was asked for is not: for a row often good news. */
  readonly isGone?: true
  /** The daemon answers others: it does not help to ask soon again. */
  readonly isRefused?: true
}

export type Link =
  | { readonly type: 'connecting' }
  | { readonly type: 'live' }
  | { readonly type: 'lost'; readonly sinceMs: number; readonly failure: Failure }

export type PageState = {
  readonly link: Link
  readonly overview: Overview | null
  /** The browser's clock when the overview came, or when the page was opened. */
  readonly heardAtMs: number
  /** Counts the gaps in what was heard: after one, what is kept next to the overview is old too. */
  readonly gaps: number
}

export type Fact =
  | { readonly type: 'heard'; readonly overview: Overview; readonly nowMs: number }
  | { readonly type: 'failed'; readonly failure: Failure }

/** Longer than this between two overviews is a gap. */
const gapMs = 3_000

export function firstState(nowMs: number): PageState {
  return { link: { type: 'connecting' }, overview: null, heardAtMs: nowMs, gaps: 0 }
}

export function nextState(state: PageState, fact: Fact): PageState {
  switch (fact.type) {
    case 'heard': {
      const { overview, nowMs } = fact
      const isGap = state.link.type === 'lost' || nowMs - state.heardAtMs > gapMs
      const gaps = state.gaps + (isGap ? 1 : 0)
      return { link: { type: 'live' }, overview, heardAtMs: nowMs, gaps }
    }
    case 'failed': {
      const sinceMs = state.heardAtMs
      return { ...state, link: { type: 'lost', sinceMs, failure: fact.failure } }
    }
    default:
      return unreachable(fact)
  }
}

/** The daemon's clock: it does not move while nothing is heard, and so do the ages. */
export function daemonNowMs({ link, overview, heardAtMs }: PageState, nowMs: number): number {
  if (overview === null) return nowMs
  return link.type === 'live' ? overview.at + Math.max(0, nowMs - heardAtMs) : overview.at
}

// The end of every switch over a union.

/** Never called, if the compiler is right. */
export function unreachable(value: never): never {
  throw new Error(`This cannot be: ${JSON.stringify(value)}.`)
}
