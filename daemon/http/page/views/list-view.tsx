/** The outbox or the inbox: a search, and what it finds, the newest first. */
import type { JSX } from 'preact'
import { useDaemonNowMs, usePage, useRows } from '../parts/hooks.ts'
import { NoRows, RowTable, SearchEnd, SearchForm } from '../parts/rows.tsx'
import { clockText, countText } from '../model/text.ts'
import { totalText } from '../model/time-series.ts'
import { type Box, noQuery, type Query, type RowsSearch, shownRows } from '../model/route.ts'
import type { Row } from '../client/api.ts'

type Props = { readonly box: Box; readonly query: Query }

export function ListView({ box, query }: Props): JSX.Element {
  const found = useRows(box, query)
  const { search, again } = found
  const rows = shownRows(search)
  const isAsking = search.type === 'asking'
  const nowMs = useDaemonNowMs()
  const { overview } = usePage().state
  const title = box === 'outbox' ? 'Outbox' : 'Inbox'
  return (
    <>
      <div class="view-head">
        <h1>{title}</h1>
        <p class="quiet">{totalText(box, overview)}</p>
        <span class="view-head-end">
          {search.type === 'resting' ? (
            <span class="quiet">Read at {clockText(search.readAtMs, nowMs)}</span>
          ) : null}
          <button type="button" disabled={isAsking} onClick={again}>
            Refresh
          </button>
        </span>
      </div>
      <SearchForm key={box} box={box} query={query} />
      <p class="off-screen" role="status">
        {statusText(search)}
      </p>
      {rows.length === 0 ? null : (
        <div class={isAsking && search.old.length > 0 ? 'is-old' : ''}>
          <RowTable box={box} rows={rows} caption={`${title}, the newest rows first`} />
        </div>
      )}
      {search.type === 'resting' && rows.length === 0 && search.next === null ? (
        <NoRows box={box} query={query} isWhole={sameQuery(query)} />
      ) : null}
      <SearchEnd found={found} />
    </>
  )
}

const sameQuery = ({ search, state, isDead }: Query): boolean =>
  search === noQuery.search && state === noQuery.state && isDead === noQuery.isDead

function statusText(search: RowsSearch<Row>): string {
  if (search.type !== 'resting') return ''
  const count = countText(search.rows.length)
  return search.next === null ? `${count} rows, no more.` : `${count} rows, there may be more.`
}
