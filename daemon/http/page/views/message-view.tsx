/** One message: where it is, what it holds, its story, and what can be done. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { type Loaded, useDaemonNowMs, useLoaded, usePage, useRows } from '../parts/hooks.ts'
import { NoRows, RowTable, SearchEnd, SearchForm } from '../parts/rows.tsx'
import { clockText, countText } from '../model/text.ts'
import { totalText } from '../model/time-series.ts'
import {
  type Box,
  type Query,
  type RowsSearch,
  hashOf,
  noQuery,
  shownRows,
} from '../model/route.ts'
import { type Row, getMessage } from '../client/api.ts'
import type { InboxMessage, InboxRow, OutboxMessage, OutboxRow } from '../../api-types.ts'
import { type Action, actionsOf } from '../model/action.ts'
import { rowStateText, toneOfRow } from '../model/issue.ts'
import { ActionDialog, MessageContent, MessageFacts, Timeline } from '../parts/message.tsx'
import { Failed, Loading } from '../parts/frame.tsx'
import { Tag } from '../parts/controls.tsx'

const everyMs = 3_000

type Props = { readonly box: Box; readonly id: number }
type AnyMessage = OutboxMessage | InboxMessage

export function MessageView({ box, id }: Props): JSX.Element {
  const { gaps } = usePage().state
  const loaded = useLoaded(async (signal) => getMessage(box, id, signal), {
    key: `${box} ${id}`,
    again: gaps,
    everyMs,
  })
  const { value, failure, reload } = loaded
  return (
    <>
      <p class="crumb">
        <a href={hashOf({ view: 'list', box, query: noQuery })}>
          {box === 'outbox' ? 'Outbox' : 'Inbox'}
        </a>
      </p>
      <div class="view-head">
        <h1>Row {id}</h1>
        {value === null ? null : (
          <>
            <Tag tone={toneOfRow(value.row.state)} text={rowStateText(value.row.state)} />
            <Actions box={box} row={value.row} onDone={reload} />
          </>
        )}
      </div>
      <NotRead loaded={loaded} />
      {value === null && failure === null ? <Loading what="the message" /> : null}
      {value === null ? null : (
        <div class={failure === null ? '' : 'is-old'}>
          <Reported message={value} box={box} />
        </div>
      )}
    </>
  )
}

function Reported({
  message,
  box,
}: {
  readonly message: AnyMessage
  readonly box: Box
}): JSX.Element {
  return (
    <>
      <MessageFacts row={message.row} box={box} />
      <div class="columns">
        <Timeline story={message.story} />
        <MessageContent message={message} box={box} />
      </div>
    </>
  )
}

type FailureProps = { readonly loaded: Loaded<AnyMessage> }

/** A row that is not there has most likely gone the way that it should: the daemon says which. */
function NotRead({ loaded: { value, failure, reload } }: FailureProps): JSX.Element | null {
  if (failure === null) return null
  if (failure.isGone !== true) return <Failed failure={failure} again={reload} />
  return (
    <div class="note" role="status">
      <p>
        <strong>{failure.message}</strong> <code class="code">{failure.code}</code>
      </p>
      {failure.hint === '' ? null : <p>{failure.hint}</p>}
      {value === null ? null : <p>What you see is what was there last.</p>}
    </div>
  )
}

type ActionsProps = {
  readonly box: Box
  readonly row: OutboxRow | InboxRow
  readonly onDone: () => void
}

function Actions({ box, row, onDone }: ActionsProps): JSX.Element | null {
  const { state } = usePage()
  const [action, setAction] = useState<Action | null>(null)
  if (state.overview?.node.canAct !== true) return null
  return (
    <span class="view-head-end actions">
      {actionsOf(box, row.state).map((one) => (
        <button
          key={one.name}
          type="button"
          class={one.isDestructive ? 'danger' : ''}
          disabled={state.link.type !== 'live'}
          onClick={() => setAction(one)}
        >
          {one.label}
        </button>
      ))}
      {action === null ? null : (
        <ActionDialog
          box={box}
          id={row.id}
          action={action}
          onEnd={(isDone) => {
            setAction(null)
            if (isDone) onDone()
          }}
        />
      )}
    </span>
  )
}

// The outbox or the inbox: a search, and what it finds, the newest first.

type ListProps = { readonly box: Box; readonly query: Query }

export function ListView({ box, query }: ListProps): JSX.Element {
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
