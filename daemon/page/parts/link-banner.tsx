/**
 * Says that what is seen is old, since when, and why. It is read out when that begins and ends, and
 * not with every second between.
 */
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { clockText, durationText } from '../model/age.ts'
import type { Link, PageState } from '../model/link.ts'
import { levelSentences } from '../model/trouble.ts'
import { Clock } from './time.tsx'

export function LinkBanner({ state }: { readonly state: PageState }): JSX.Element {
  const { link } = state
  return (
    <>
      <p class="off-screen" role="status">
        {announcementOf(state)}
      </p>
      {link.type === 'lost' ? <Lost link={link} hasOld={state.overview !== null} /> : null}
    </>
  )
}

function announcementOf({ link, overview, gaps }: PageState): string {
  if (link.type === 'lost') return `Not connected: ${link.failure.message}`
  if (overview === null) return ''
  return `${gaps > 0 ? 'Connected again. ' : ''}${levelSentences[overview.health]}`
}

type LostProps = {
  readonly link: Extract<Link, { readonly type: 'lost' }>
  readonly hasOld: boolean
}

function Lost({ link: { sinceMs, failure }, hasOld }: LostProps): JSX.Element {
  const nowMs = useNowMs()
  return (
    <aside class="banner" aria-label="Connection">
      <p>
        <strong>
          Not connected since {clockText(sinceMs, nowMs)} ({durationText(nowMs - sinceMs)}).
        </strong>{' '}
        {failure.message} <code class="code">{failure.code}</code>
      </p>
      <p>
        {hasOld ? 'What you see below is from then. ' : ''}
        {failure.hint}
      </p>
    </aside>
  )
}

function useNowMs(): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return nowMs
}

/** From when the numbers beside it are. */
export function AsOf({ state }: { readonly state: PageState }): JSX.Element | null {
  if (state.overview === null) return null
  return (
    <span class={`as-of as-of-${state.link.type}`}>
      {state.link.type === 'live' ? 'live' : 'as of'} <Clock at={state.overview.at} />
    </span>
  )
}
