/**
 * What is asked from the daemon once, or again and again, as state of a component. Must never show
 * an answer to an earlier question: a new one cancels it.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import type { Answer } from '../client/api.ts'
import type { Failure } from '../model/link.ts'

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
