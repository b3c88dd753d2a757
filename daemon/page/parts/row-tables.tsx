/** Messages as a table: where each is, and why. */
import type { JSX } from 'preact'
import type { InboxRow, OutboxRow } from '../../observe/page-api.ts'
import type { Row } from '../client/api.ts'
import { bytesText, countText } from '../model/quantity.ts'
import { hashOf, type Box } from '../model/route.ts'
import { firstLine, shownSentence } from '../model/shown-text.ts'
import { rowStateText, toneOfRow } from '../model/trouble.ts'
import { Table, type Column } from './table.tsx'
import { Distance, NextTry } from './time.tsx'
import { Address, Tag, Word } from './words.tsx'

export const isOutboxRow = (row: Row): row is OutboxRow => 'createdAt' in row

type Props = { readonly box: Box; readonly rows: readonly Row[]; readonly caption: string }

export function RowTable({ box, rows, caption }: Props): JSX.Element {
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
