/** The stream of overviews as state of a component. */
import { useEffect, useReducer } from 'preact/hooks'
import { followOverviews } from '../client/overviews.ts'
import { firstState, nextState, type PageState } from '../model/link.ts'

export function useOverviews(): PageState {
  const [state, onFact] = useReducer(nextState, undefined, () => firstState(Date.now()))
  useEffect(() => {
    const controller = new AbortController()
    followOverviews(onFact, controller.signal)
    return () => controller.abort()
  }, [])
  return state
}
