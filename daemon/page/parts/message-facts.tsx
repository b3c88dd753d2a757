/** What is known of a message without looking into it. */
import type { JSX } from 'preact'
import type { InboxRow, OutboxRow } from '../../observe/page-api.ts'
import { bytesText, countText, nothing } from '../model/quantity.ts'
import type { Box } from '../model/route.ts'
import { firstLine, shownBlock, shownLine, shownSentence } from '../model/shown-text.ts'
import { toneOfRow } from '../model/trouble.ts'
import { CodeBlock } from './code-block.tsx'
import { CopyButton } from './copy-button.tsx'
import { Facts, type Fact } from './facts.tsx'
import { isOutboxRow } from './row-tables.tsx'
import { Clock, Distance } from './time.tsx'

type Props = { readonly row: OutboxRow | InboxRow; readonly box: Box }

export function MessageFacts({ row, box }: Props): JSX.Element {
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
