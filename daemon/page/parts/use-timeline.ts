/** The samples of the plots: asked once, and then taken from what is heard every second. */
import { useEffect, useState } from 'preact/hooks'
import type { HistorySample } from '../../observe/page-api.ts'
import { getHistory } from '../client/api.ts'
import { isLive, sampleOf, withSample, type Span } from '../model/timeline.ts'
import { usePage } from './page-context.ts'
import { useLoaded, type Loaded } from './use-loaded.ts'

export type Timeline = {
  readonly samples: readonly HistorySample[]
  readonly stepMs: number
  readonly loaded: Loaded<unknown>
}

const minuteMs = 60_000

export function useTimeline(span: Span): Timeline {
  const { state } = usePage()
  const loaded = useLoaded(async (signal) => getHistory(span.minutes, signal), {
    key: String(span.minutes),
    // What was kept here lacks what happened in a gap.
    again: state.gaps,
    everyMs: isLive(span) ? 0 : minuteMs,
  })
  const [samples, setSamples] = useState<readonly HistorySample[]>([])
  const history = loaded.value
  useEffect(() => {
    if (history !== null) setSamples(history.samples)
  }, [history])
  const { overview, link } = state
  useEffect(() => {
    if (overview === null || link.type !== 'live' || !isLive(span)) return
    setSamples((last) => (history === null ? last : withSample(last, sampleOf(overview), span)))
  }, [overview, history, span])
  return { samples, stepMs: history?.stepMs ?? 1_000, loaded }
}
