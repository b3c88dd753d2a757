/** Messages as a table: where each is, and why. */
import type { JSX } from 'preact'
import type { InboxRow, OutboxRow, OutboxState, SearchBy } from '../../api-types.ts'
import type { Row } from '../client/api.ts'
import { firstRowLine } from '../model/action.ts'
import { rowStateText, toneOfRow } from '../model/issue.ts'
import { type Box, hashOf, noQuery, outboxStates, type Query, searchBys } from '../model/route.ts'
import { bytesText, countText, firstLine, shownSentence } from '../model/text.ts'
import {
  Address,
  CodeBlock,
  type Column,
  Distance,
  NextTry,
  Table,
  Tag,
  Word,
} from './controls.tsx'
import { Empty, Failed } from './frame.tsx'
import { replaceRoute, type RowsFound, usePage, useTyped } from './hooks.ts'

export const isOutboxRow = (row: Row): row is OutboxRow => 'createdAt' in row

type RowTableProps = { readonly box: Box; readonly rows: readonly Row[]; readonly caption: string }

export function RowTable({ box, rows, caption }: RowTableProps): JSX.Element {
  const keyOf = ({ id }: Row): string => String(id)
  if (box === 'outbox') {
    const own = rows.filter(isOutboxRow)
    return <Table caption={caption} rows={own} columns={outboxColumns} keyOf={keyOf} />
  }
  const own = rows.filter((row) => !isOutboxRow(row))
  return <Table caption={caption} rows={own} columns={inboxColumns} keyOf={keyOf} />
}

const outboxColumns: readonly Column<OutboxRow>[] = [
  {
    title: 'Row',
    cell: ({ id }) => <RowLink box="outbox" id={id} />,
    isNumber: true,
    isHalf: true,
  },
  {
    title: 'State',
    cell: ({ state }) => <Tag tone={toneOfRow(state)} text={rowStateText(state)} />,
  },
  { title: 'To', cell: ({ host, port }) => <Address host={host} port={port} />, isHalf: true },
  { title: 'Token', cell: ({ token }) => <Word text={token} />, isHalf: true },
  { title: 'Size', cell: ({ bytes }) => bytesText(bytes), isNumber: true },
  { title: 'Inserted', cell: ({ createdAt }) => <Distance at={createdAt} />, isNumber: true },
  { title: 'Why it is here', cell: (row) => <Why row={row} />, isWide: true },
]

const inboxColumns: readonly Column<InboxRow>[] = [
  { title: 'Row', cell: ({ id }) => <RowLink box="inbox" id={id} />, isNumber: true, isHalf: true },
  {
    title: 'State',
    cell: ({ state }) => <Tag tone={toneOfRow(state)} text={rowStateText(state)} />,
  },
  { title: 'From', cell: ({ host, port }) => <Address host={host} port={port} />, isHalf: true },
  { title: 'Token', cell: ({ token }) => <Word text={token} />, isHalf: true },
  { title: 'Size', cell: ({ bytes }) => bytesText(bytes), isNumber: true },
  { title: 'Arrived', cell: ({ arrivedAt }) => <Distance at={arrivedAt} />, isNumber: true },
  { title: 'Attempts', cell: ({ attempts }) => countText(attempts), isNumber: true },
  {
    title: 'Last error',
    cell: ({ error }) => <Word text={firstLine(error ?? '')} />,
    isWide: true,
  },
]

function RowLink({ box, id }: { readonly box: Box; readonly id: number }): JSX.Element {
  return <a href={hashOf({ view: 'message', box, id })}>{id}</a>
}

function Why({ row: { reason, retryAt } }: { readonly row: OutboxRow }): JSX.Element {
  return (
    <>
      <bdi>{shownSentence(reason)}</bdi>
      {retryAt === null ? null : (
        <span class="quiet">
          {' '}
          <NextTry at={retryAt} />
        </span>
      )}
    </>
  )
}

// What is looked for. It asks while one types, after a pause, and at once with Enter; the address
// follows, so that a search can be sent to somebody.

const byLabels: Record<SearchBy, string> = {
  any: 'anything',
  id: 'row id',
  host: 'host',
  token: 'token',
  text: 'text of the data',
}

const stateLabels: Record<OutboxState | 'any', string> = {
  any: 'any state',
  waiting: 'waiting',
  'in-flight': 'in flight',
  parked: 'parked',
}

type SearchFormProps = { readonly box: Box; readonly query: Query }

export function SearchForm({ box, query }: SearchFormProps): JSX.Element {
  const ask = (changes: Partial<Query>): void =>
    replaceRoute({ view: 'list', box, query: { ...query, ...changes } })
  const { text, type, settle } = useTyped(query.search, (search) => ask({ search }))
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault()
        settle()
      }}
    >
      <label class="grow">
        <span>Search</span>
        <input
          type="search"
          value={text}
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => type(currentTarget.value)}
        />
      </label>
      <Choice
        label="Search in"
        value={query.by}
        values={searchBys}
        labels={byLabels}
        onChoice={(by) => ask({ by, search: text })}
      />
      {box === 'outbox' ? (
        <Choice
          label="State"
          value={query.state}
          values={outboxStates}
          labels={stateLabels}
          onChoice={(state) => ask({ state, search: text })}
        />
      ) : (
        <Choice
          label="Which"
          value={query.isDead ? 'dead' : 'live'}
          values={['live', 'dead']}
          labels={{ live: 'messages', dead: 'dead letters' }}
          onChoice={(which) => ask({ isDead: which === 'dead', search: text })}
        />
      )}
    </form>
  )
}

type ChoiceProps<T extends string> = {
  readonly label: string
  readonly value: T
  readonly values: readonly T[]
  readonly labels: Record<T, string>
  readonly onChoice: (value: T) => void
}

function Choice<T extends string>(props: ChoiceProps<T>): JSX.Element {
  const { label, value, values, labels, onChoice } = props
  return (
    <label>
      <span>{label}</span>
      <select
        value={value}
        onChange={({ currentTarget }) => {
          const chosen = values.find((one) => one === currentTarget.value)
          if (chosen !== undefined) onChoice(chosen)
        }}
      >
        {values.map((one) => (
          <option key={one} value={one} selected={one === value}>
            {labels[one]}
          </option>
        ))}
      </select>
    </label>
  )
}

// What stands below the rows that were found: whether there are more, and how to get them.

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
