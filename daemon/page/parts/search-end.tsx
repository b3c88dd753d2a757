/** What stands below the rows that were found: whether there are more, and how to get them. */
import type { JSX } from 'preact'
import { firstRowLine } from '../model/shell-line.ts'
import { countText } from '../model/quantity.ts'
import { hashOf, noQuery, type Box, type Query } from '../model/route.ts'
import { CodeBlock } from './code-block.tsx'
import { usePage } from './page-context.ts'
import { Empty, Failed } from './state-notes.tsx'
import type { RowsFound } from './use-rows.ts'

export function SearchEnd({ found }: { readonly found: RowsFound }): JSX.Element | null {
  const { search, further, stop } = found
  if (search.type === 'failed') return <Failed failure={search.failure} again={further} />
  if (search.type === 'asking') {
    return (
      <p class="more">
        <span class="quiet">
          {search.rounds === 0
            ? 'Reading…'
            : `Searching below row ${countText(search.before ?? 0)}…`}
        </span>{' '}
        {search.rounds === 0 ? null : (
          <button type="button" onClick={stop}>
            Stop
          </button>
        )}
      </p>
    )
  }
  if (search.next === null) {
    return search.rows.length === 0 ? null : <p class="more quiet">That is all.</p>
  }
  return (
    <p class="more">
      {search.isFull ? null : (
        <span class="quiet">No more found down to row {countText(search.next)}. </span>
      )}
      <button type="button" onClick={further}>
        {search.isFull ? 'Older rows' : 'Search on'}
      </button>
    </p>
  )
}

type NoRowsProps = { readonly box: Box; readonly query: Query; readonly isWhole: boolean }

export function NoRows({ box, query, isWhole }: NoRowsProps): JSX.Element {
  const { overview } = usePage().state
  if (query.isDead && query.search === '') {
    return <Empty title="No dead letters: every message was processed, or still can be." />
  }
  if (!isWhole) {
    return (
      <Empty title="Nothing like that is here.">
        <p>
          What was delivered has left the outbox, and what was consumed the inbox.{' '}
          <a href={hashOf({ view: 'list', box, query: noQuery })}>Show all rows</a>
        </p>
      </Empty>
    )
  }
  if (box === 'inbox') {
    return (
      <Empty title="The inbox is empty.">
        <p>What arrives appears here, and leaves when a consumer is done with it.</p>
      </Empty>
    )
  }
  const line = firstRowLine(overview?.node.database)
  return (
    <Empty title="The outbox is empty: everything is delivered.">
      <p>To send something:</p>
      <CodeBlock title="Send a row" text={line}>
        {line}
      </CodeBlock>
    </Empty>
  )
}
