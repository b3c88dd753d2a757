/** One message: where it is, what it holds, its story, and what can be done. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { InboxMessage, InboxRow, OutboxMessage, OutboxRow } from '../../observe/page-api.ts'
import { getMessage } from '../client/api.ts'
import { deedsOf, type Deed } from '../model/deed.ts'
import { hashOf, noQuery, type Box } from '../model/route.ts'
import { rowStateText, toneOfRow } from '../model/trouble.ts'
import { DeedDialog } from '../parts/deed-dialog.tsx'
import { MessageContent } from '../parts/message-content.tsx'
import { MessageFacts } from '../parts/message-facts.tsx'
import { usePage } from '../parts/page-context.ts'
import { Failed, Loading } from '../parts/state-notes.tsx'
import { Story } from '../parts/story.tsx'
import { useLoaded, type Loaded } from '../parts/use-loaded.ts'
import { Tag } from '../parts/words.tsx'

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
            <Deeds box={box} row={value.row} onDone={reload} />
          </>
        )}
      </div>
      <NotRead loaded={loaded} />
      {value === null && failure === null ? <Loading what="the message" /> : null}
      {value === null ? null : (
        <div class={failure === null ? '' : 'is-old'}>
          <Told message={value} box={box} />
        </div>
      )}
    </>
  )
}

function Told({ message, box }: { readonly message: AnyMessage; readonly box: Box }): JSX.Element {
  return (
    <>
      <MessageFacts row={message.row} box={box} />
      <div class="columns">
        <Story story={message.story} />
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

type DeedsProps = {
  readonly box: Box
  readonly row: OutboxRow | InboxRow
  readonly onDone: () => void
}

function Deeds({ box, row, onDone }: DeedsProps): JSX.Element | null {
  const { state } = usePage()
  const [deed, setDeed] = useState<Deed | null>(null)
  if (state.overview?.node.canAct !== true) return null
  return (
    <span class="view-head-end deeds">
      {deedsOf(box, row.state).map((one) => (
        <button
          key={one.name}
          type="button"
          class={one.isDestructive ? 'danger' : ''}
          disabled={state.link.type !== 'live'}
          onClick={() => setDeed(one)}
        >
          {one.label}
        </button>
      ))}
      {deed === null ? null : (
        <DeedDialog
          box={box}
          id={row.id}
          deed={deed}
          onEnd={(isDone) => {
            setDeed(null)
            if (isDone) onDone()
          }}
        />
      )}
    </span>
  )
}
