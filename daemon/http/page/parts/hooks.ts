/** What every part of the page may know: the newest overview, the link, the findings. */
import { createContext } from 'preact'
import { useCallback, useContext, useEffect, useReducer, useRef, useState } from 'preact/hooks'
import type { HealthFinding, HistorySample } from '../../api-types.ts'
import { type Answer, getHistory, getRows, type Row } from '../client/api.ts'
import { followOverviews } from '../client/overviews.ts'
import {
  daemonNowMs,
  type Failure,
  firstState,
  nextState,
  type PageState,
} from '../model/connection.ts'
import {
  type Box,
  firstSearch,
  furtherSearch,
  hashOf,
  onAnswer,
  onFailure,
  onStop,
  parseRoute,
  type Query,
  queryParameters,
  type Route,
  type RowsSearch,
  searchAgain,
  suffixOf,
} from '../model/route.ts'
import { isLive, sampleOf, type Span, withSample } from '../model/time-series.ts'

export type Page = {
  readonly state: PageState
  /** Of the last `api/health`; null before it, and while nothing is heard. */
  readonly findings: readonly HealthFinding[] | null
}

export const PageContext = createContext<Page>({ state: firstState(0), findings: null })

export const usePage = (): Page => useContext(PageContext)

/** The daemon's clock, as of this rendering: the page renders once a second while it hears. */
export function useDaemonNowMs(): number {
  return daemonNowMs(usePage().state, Date.now())
}

// What is asked from the daemon once, or again and again, as state of a component. Must never show
// an answer to an earlier question: a new one cancels it.

export type Loaded<T> = {
  /** The last answer, kept while a newer one is awaited or when that has failed. */
  readonly value: T | null
  readonly failure: Failure | null
  readonly reload: () => void
}

type Options = {
  /** Another key is another question. */
  readonly key: string
  /** When this changes the question is asked again, and the last answer is kept until then. */
  readonly again: unknown
  /** Asked again so much later; 0 for once. */
  readonly everyMs: number
}

export function useLoaded<T>(
  load: (signal: AbortSignal) => Promise<Answer<T>>,
  { key, again, everyMs }: Options,
): Loaded<T> {
  const [state, setState] = useState<{ key: string; value: T | null; failure: Failure | null }>({
    key,
    value: null,
    failure: null,
  })
  const [turn, setTurn] = useState(0)
  const loading = useRef(load)
  loading.current = load
  const reload = useCallback(() => setTurn((count) => count + 1), [])

  useEffect(() => {
    const controller = new AbortController()
    let timer: number | undefined
    const ask = async (): Promise<void> => {
      const answer = await loading.current(controller.signal)
      if (controller.signal.aborted || answer.type === 'aborted') return
      if (answer.type === 'answer') setState({ key, value: answer.value, failure: null })
      else setState((last) => ({ key, value: valueOf(last, key), failure: answer.failure }))
      const isRefused = answer.type === 'failure' && answer.failure.isRefused === true
      if (everyMs > 0 && !isRefused) timer = window.setTimeout(() => void ask(), everyMs)
    }
    void ask()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [key, again, everyMs, turn])

  if (state.key !== key) return { value: null, failure: null, reload }
  return { value: state.value, failure: state.failure, reload }
}

const valueOf = <T>(state: { key: string; value: T | null }, key: string): T | null =>
  state.key === key ? state.value : null

// The stream of overviews as state of a component.

export function useOverviews(): PageState {
  const [state, onFact] = useReducer(nextState, undefined, () => firstState(Date.now()))
  useEffect(() => {
    const controller = new AbortController()
    followOverviews(onFact, controller.signal)
    return () => controller.abort()
  }, [])
  return state
}

// The route in the address bar as state of a component, and ways to change it.

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const onChange = (): void => setHash(location.hash)
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  return parseRoute(hash)
}

/** Goes there without a step of its own in the history: for what changes with every key. */
export function replaceRoute(route: Route): void {
  history.replaceState(null, '', hashOf(route))
  // replaceState fires no event.
  dispatchEvent(new HashChangeEvent('hashchange'))
}

// Drives a search through a box: one request at a time, and none that nobody waits for.

export type RowsFound = {
  readonly search: RowsSearch<Row>
  readonly further: () => void
  readonly stop: () => void
  readonly again: () => void
}

type Asked = { readonly question: string; readonly search: RowsSearch<Row> }

export function useRows(box: Box, query: Query): RowsFound {
  const question = `${box}${suffixOf(queryParameters(box, query))}`
  const [asked, setAsked] = useState<Asked>({ question, search: firstSearch() })
  const search = asked.question === question ? asked.search : firstSearch<Row>()
  const change = useCallback(
    (next: (search: RowsSearch<Row>) => RowsSearch<Row>): void =>
      setAsked((last) => {
        const now = last.question === question ? last.search : firstSearch<Row>()
        return { question, search: next(now) }
      }),
    [question],
  )

  const isAsking = search.type === 'asking'
  const before = search.type === 'asking' ? search.before : null
  const round = search.type === 'asking' ? search.rounds : 0
  useEffect(() => {
    if (!isAsking) return undefined
    const controller = new AbortController()
    const ask = async (): Promise<void> => {
      const answer = await getRows(box, query, before, controller.signal)
      if (controller.signal.aborted) return
      if (answer.type === 'answer') change((now) => onAnswer(now, answer.value, Date.now()))
      if (answer.type === 'failure') change((now) => onFailure(now, answer.failure))
    }
    void ask()
    return () => controller.abort()
    // `question` stands for box and query: two equal ones are one.
  }, [question, isAsking, before, round])

  return {
    search,
    further: () => change(furtherSearch),
    stop: () => change((now) => onStop(now, Date.now())),
    again: () => change(searchAgain),
  }
}

// The samples of the plots: asked once, and then taken from what is heard every second.

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

// What somebody is typing, reported when the typing pauses: a request or a step of the address for
// each key would be too many (browsers reject more than a hundred steps in half a minute).

const pauseMs = 300

type Typed = {
  readonly text: string
  readonly type: (text: string) => void
  /** Does not wait for the pause. */
  readonly settle: () => void
}

/** `value` is what is true outside: when it changes from there, the text follows. */
export function useTyped(value: string, onSettled: (text: string) => void): Typed {
  const [text, type] = useState(value)
  const reported = useRef(value)
  const tell = useRef(onSettled)
  tell.current = onSettled
  const settle = (): void => {
    if (reported.current === text) return
    reported.current = text
    tell.current(text)
  }
  useEffect(() => {
    // Its own echo is not news: more may have been typed since.
    if (value === reported.current) return
    reported.current = value
    type(value)
  }, [value])
  useEffect(() => {
    const timer = setTimeout(settle, pauseMs)
    return () => clearTimeout(timer)
  }, [text])
  return { text, type, settle }
}
