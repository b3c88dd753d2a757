/** Times and ages, each with its exact value behind it. */
import type { JSX } from 'preact'
import {
  clockText,
  distanceText,
  durationText,
  exactDurationText,
  exactTimeText,
} from '../model/age.ts'
import { nothing } from '../model/quantity.ts'
import { useDaemonNowMs } from './page-context.ts'

/** `4 min ago`, or `in 12 s`. */
export function Distance({ at }: { readonly at: number | null }): JSX.Element {
  const nowMs = useDaemonNowMs()
  if (at === null) return <span class="quiet">{nothing}</span>
  return (
    <time dateTime={exactTimeText(at)} title={exactTimeText(at)}>
      {distanceText(at, nowMs)}
    </time>
  )
}

/** `03:12:05`, with the date when it is another day. */
export function Clock({ at }: { readonly at: number }): JSX.Element {
  const nowMs = useDaemonNowMs()
  return (
    <time dateTime={exactTimeText(at)} title={exactTimeText(at)}>
      {clockText(at, nowMs)}
    </time>
  )
}

/** `for 4 min`: how long it has been so. */
export function For({ since }: { readonly since: number }): JSX.Element {
  const nowMs = useDaemonNowMs()
  return (
    <time dateTime={exactTimeText(since)} title={`since ${exactTimeText(since)}`}>
      for {durationText(nowMs - since)}
    </time>
  )
}

/** What was to come when it was read, and may be under way now. */
export function NextTry({ at }: { readonly at: number }): JSX.Element {
  const nowMs = useDaemonNowMs()
  if (at <= nowMs) return <>Next try now.</>
  return (
    <>
      Next try <Distance at={at} />.
    </>
  )
}

/** `3 h 5 min`. */
export function Duration({ ms }: { readonly ms: number | null }): JSX.Element {
  if (ms === null) return <span class="quiet">{nothing}</span>
  return <span title={exactDurationText(ms)}>{durationText(ms)}</span>
}
