/** What a message holds: its headers, and the beginning of its data as text or as hexdump -C. */
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type {
  ActionResult,
  InboxRow,
  Message,
  OutboxRow,
  Preview,
  TimelineStep,
} from '../../api-types.ts'
import { type Answer, type Row, act } from '../client/api.ts'
import { type Action, defaultDatabase, wholeDataLine } from '../model/action.ts'
import { toneOfRow } from '../model/issue.ts'
import type { Box } from '../model/route.ts'
import {
  bytesText,
  countText,
  distanceText,
  durationText,
  exactDurationText,
  firstLine,
  hexLines,
  nothing,
  prettyJson,
  reported,
  shortened,
  shownBlock,
  shownLine,
  shownSentence,
} from '../model/text.ts'
import { Clock, CodeBlock, CopyButton, Distance, type Fact, Facts } from './controls.tsx'
import { useDaemonNowMs, usePage } from './hooks.ts'
import { isOutboxRow } from './rows.tsx'

/** Somebody may put a book there; the button copies all of it. */
const headerCharsMax = 8_192

type MessageContentProps = { readonly message: Message<Row>; readonly box: Box }

export function MessageContent({ message, box }: MessageContentProps): JSX.Element {
  const { preview, headers, row } = message
  const { overview } = usePage().state
  const database = overview?.node.database ?? defaultDatabase
  const whole = wholeDataLine(database, box, row.id, row.state === 'dead')
  return (
    <section aria-labelledby="content-title">
      <h2 id="content-title">Content</h2>
      {headers === null ? null : (
        <CodeBlock title="Headers" text={headers}>
          {shownBlock(shortened(prettyJson(headers), headerCharsMax))}
        </CodeBlock>
      )}
      {preview.bytes === 0 ? (
        <p class="quiet">The data is empty: 0 bytes.</p>
      ) : (
        <CodeBlock title={titleOf(preview)} text={preview.isWhole ? preview.text : null}>
          {preview.type === 'text' ? (
            <bdi>{shownBlock(preview.text)}</bdi>
          ) : (
            <Hex preview={preview} />
          )}
        </CodeBlock>
      )}
      {preview.isWhole ? null : (
        <CodeBlock title="All of it, on the machine" text={whole}>
          {whole}
        </CodeBlock>
      )}
    </section>
  )
}

function titleOf({ type, bytes, isWhole }: Preview): string {
  const kind = type === 'text' ? 'Text' : 'Binary data'
  return isWhole
    ? `${kind}, ${bytesText(bytes)}`
    : `${kind}, the first 4 KiB of ${bytesText(bytes)}`
}

function Hex({ preview }: { readonly preview: Preview }): JSX.Element {
  return (
    <>
      {hexLines(preview.text).map(({ offset, hex, ascii }) => (
        <span key={offset} class="hex-line">
          <span class="quiet">{offset}</span> <span class="hex">{hex.padEnd(47)}</span>{' '}
          <span class="quiet">{ascii}</span>
          {'\n'}
        </span>
      ))}
    </>
  )
}

// What is known of a message without looking into it.

type MessageFactsProps = { readonly row: OutboxRow | InboxRow; readonly box: Box }

export function MessageFacts({ row, box }: MessageFactsProps): JSX.Element {
  const shared: readonly Fact[] = [
    [
      box === 'outbox' ? 'To' : 'From',
      row.host === '' ? nothing : <Long text={`${row.host}:${row.port}`} what="address" />,
    ],
    ['Token', row.token === '' ? nothing : <Long text={row.token} what="token" />],
    ['Size', <span title={`${countText(row.bytes)} bytes`}>{bytesText(row.bytes)}</span>],
  ]
  const own = isOutboxRow(row) ? outboxFacts(row) : inboxFacts(row)
  const why = isOutboxRow(row) ? row.reason : row.error
  return (
    <>
      {why === null || why === '' ? null : (
        <p class={`callout callout-${toneOfRow(row.state)}`}>
          <bdi>{shownSentence(firstLine(why))}</bdi>
        </p>
      )}
      <Facts facts={[...shared, ...own]} />
      {why === null || firstLine(why) === why ? null : (
        <div class="stack">
          <CodeBlock title="The whole error" text={why}>
            {shownBlock(why)}
          </CodeBlock>
        </div>
      )}
    </>
  )
}

function outboxFacts({ createdAt, retryAt }: OutboxRow): readonly Fact[] {
  return [
    ['Inserted', <Moment at={createdAt} />],
    ['Next try', <Distance at={retryAt} />],
  ]
}

function inboxFacts(row: InboxRow): readonly Fact[] {
  const { sentAt, arrivedAt, attempts, leaseUntil } = row
  return [
    ['Sent', <Moment at={sentAt} />],
    ['Arrived', <Moment at={arrivedAt} />],
    ['Attempts', countText(attempts)],
    ['Lease ends', <Distance at={leaseUntil} />],
  ]
}

function Moment({ at }: { readonly at: number | null }): JSX.Element {
  if (at === null) return <>{nothing}</>
  return (
    <>
      <Clock at={at} />{' '}
      <span class="quiet">
        (<Distance at={at} />)
      </span>
    </>
  )
}

/** All of it, however long; it scrolls when it must. */
function Long({ text, what }: { readonly text: string; readonly what: string }): JSX.Element {
  return (
    <span class="long">
      <bdi tabIndex={text.length > 400 ? 0 : undefined}>{shownLine(text)}</bdi>{' '}
      <CopyButton text={text} what={what} />
    </span>
  )
}

// The life of a message, step by step.

export function Timeline({ story }: { readonly story: readonly TimelineStep[] }): JSX.Element {
  return (
    <section aria-labelledby="story-title">
      <h2 id="story-title">Timeline</h2>
      <ol class="story">
        {reported(story).map(({ at, what, tookMs }, index) => (
          <li key={index}>
            <span class="story-what">
              <bdi>{shownSentence(firstLine(what))}</bdi>
            </span>
            <span class="story-at">
              {at === null ? null : <Clock at={at} />}
              <Took at={at} tookMs={tookMs} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  )
}

type TookProps = { readonly at: number | null; readonly tookMs: number | null }

/** How long after the step before; of what is to come, how long from now. */
function Took({ at, tookMs }: TookProps): JSX.Element | null {
  const nowMs = useDaemonNowMs()
  if (at === null || tookMs === null) return null
  const [text, exact] =
    at > nowMs
      ? [distanceText(at, nowMs), exactDurationText(at - nowMs)]
      : [tookText(tookMs), exactDurationText(tookMs)]
  return <span title={exact}> · {text}</span>
}

/** Clocks of two machines differ: what came before its cause is reported so. */
function tookText(ms: number): string {
  if (ms < 0) return `${durationText(-ms)} before, by its clock`
  return ms < 1_000 ? `${ms} ms later` : `${durationText(ms)} later`
}

// Asks before something is done to a row, does it, and shows what the daemon said. Must never do
// anything that was not asked about, nor close before the answer is there.

type ActionDialogProps = {
  readonly box: Box
  readonly id: number
  readonly action: Action
  /** Whether something was done. */
  readonly onEnd: (isDone: boolean) => void
}

type State =
  | { readonly type: 'asking' }
  | { readonly type: 'doing' }
  | { readonly type: 'answered'; readonly answer: Answer<ActionResult> }

export function ActionDialog({ box, id, action, onEnd }: ActionDialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const [state, setState] = useState<State>({ type: 'asking' })
  const close = useRef<HTMLButtonElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  // The button that had the focus is gone.
  useEffect(() => {
    if (state.type === 'answered') close.current?.focus()
  }, [state.type])
  const run = async (): Promise<void> => {
    setState({ type: 'doing' })
    setState({ type: 'answered', answer: await act(box, id, action) })
  }
  const isDone = state.type === 'answered' && state.answer.type === 'answer'
  return (
    <dialog
      ref={dialog}
      aria-labelledby="action-question"
      aria-describedby="action-consequence"
      onCancel={(event) => {
        if (state.type === 'doing') event.preventDefault()
      }}
      onClose={() => onEnd(isDone)}
    >
      <h2 id="action-question">{action.question}</h2>
      <p>
        Row {id} of the {box}.
      </p>
      <p id="action-consequence">{action.consequence}</p>
      <div role="status">{state.type === 'answered' ? <Said answer={state.answer} /> : null}</div>
      <div class="dialog-buttons">
        {state.type === 'answered' ? null : (
          <button
            type="button"
            class={action.isDestructive ? 'danger' : 'primary'}
            disabled={state.type === 'doing'}
            onClick={() => void run()}
          >
            {state.type === 'doing' ? 'Doing it…' : action.label}
          </button>
        )}
        <button
          ref={close}
          type="button"
          disabled={state.type === 'doing'}
          onClick={() => dialog.current?.close()}
        >
          {state.type === 'answered' ? 'Close' : 'Change nothing'}
        </button>
      </div>
    </dialog>
  )
}

function Said({ answer }: { readonly answer: Answer<ActionResult> }): JSX.Element | null {
  if (answer.type === 'aborted') return null
  if (answer.type === 'answer') return <p class="said said-ok">{answer.value.sentence}</p>
  const { message, hint, code } = answer.failure
  return (
    <p class="said said-error">
      <strong>{message}</strong> {hint} <code class="code">{code}</code>
    </p>
  )
}
