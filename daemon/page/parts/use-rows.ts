/** Drives a search through a box: one request at a time, and none that nobody waits for. */
import { useCallback, useEffect, useState } from 'preact/hooks'
import { getRows, type Row } from '../client/api.ts'
import { queryParameters, suffixOf, type Box, type Query } from '../model/route.ts'
import {
  firstSearch,
  furtherSearch,
  onAnswer,
  onFailure,
  onStop,
  searchAgain,
  type RowsSearch,
} from '../model/rows-search.ts'

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
