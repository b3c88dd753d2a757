/** Peers as a table: how it is going with each, and why it is not. */
import type { JSX } from 'preact'
import type { Peer } from '../../api-types.ts'
import {
  countText,
  estimateText,
  millisText,
  nothing,
  rateText,
  shareText,
  shownLine,
  shownSentence,
} from '../model/text.ts'
import { hashOf, noQuery } from '../model/route.ts'
import { isStuck, peerStateText, toneOfPeer } from '../model/issue.ts'
import {
  Address,
  type Column,
  Distance,
  Duration,
  For,
  NextTry,
  Table,
  Tag,
  Word,
} from './controls.tsx'

type Props = {
  readonly caption: string
  readonly peers: readonly Peer[]
  /** With what has room only where nothing else is. */
  readonly isWhole?: true
}

export function PeerTable({ caption, peers, isWhole }: Props): JSX.Element {
  const shown = isWhole === true ? [...columns, ...moreColumns] : columns
  return <Table caption={caption} rows={peers} columns={shown} keyOf={keyOf} />
}

const keyOf = ({ direction, host, port, key }: Peer): string =>
  JSON.stringify([direction, host, port, key])

const columns: readonly Column<Peer>[] = [
  { title: 'Peer', cell: (peer) => <PeerName peer={peer} />, isWide: true },
  { title: 'State', cell: (peer) => <PeerState peer={peer} /> },
  { title: 'Waiting', cell: ({ waiting }) => textOr(waiting, estimateText), isNumber: true },
  { title: 'Oldest', cell: ({ oldestAgeMs }) => <Duration ms={oldestAgeMs} />, isNumber: true },
  { title: 'Rate', cell: ({ rowsPerS }) => textOr(rowsPerS, rateText), isNumber: true },
  { title: 'RTT', cell: ({ rttMs }) => textOr(rttMs, millisText), isNumber: true },
  { title: 'Loss', cell: ({ lossShare }) => textOr(lossShare, shareText), isNumber: true },
]

const moreColumns: readonly Column<Peer>[] = [
  { title: 'Messages', cell: ({ watermark }) => countText(watermark), isNumber: true },
  { title: 'Last event', cell: (peer) => <PeerEvent peer={peer} />, isHalf: true },
]

function PeerEvent({ peer: { lastEvent } }: { readonly peer: Peer }): JSX.Element {
  if (lastEvent === null) return <span class="quiet">{nothing}</span>
  const { at, code, sentence } = lastEvent
  return (
    <span title={shownLine(sentence)}>
      <code class="code">{code}</code>
      <span class="since">
        <Distance at={at} />
      </span>
    </span>
  )
}

function PeerName({ peer }: { readonly peer: Peer }): JSX.Element {
  const { direction, host, port, key, error, errorCode, retryAt } = peer
  const query = { ...noQuery, search: host, by: 'host' as const }
  const box = direction === 'out' ? 'outbox' : 'inbox'
  return (
    <>
      <span class="peer-name">
        <span class="direction">{direction === 'out' ? 'to' : 'from'}</span>{' '}
        <a href={hashOf({ view: 'list', box, query })}>
          <Address host={host === '' ? '(unknown)' : host} port={port} />
        </a>
        {key === '' ? null : (
          <span class="peer-key">
            key <Word text={key} />
          </span>
        )}
      </span>
      {error === null && errorCode === null ? null : (
        <span class={`why ${isStuck(peer) ? 'why-error' : 'why-warn'}`}>
          <bdi>{error === null ? '' : shownSentence(error)}</bdi>{' '}
          <code class="code">{errorCode}</code>
          {retryAt === null ? null : (
            <span class="quiet">
              {' '}
              <NextTry at={retryAt} />
            </span>
          )}
        </span>
      )}
    </>
  )
}

function PeerState({ peer }: { readonly peer: Peer }): JSX.Element {
  return (
    <>
      <Tag tone={toneOfPeer(peer)} text={peerStateText(peer)} />
      <span class="since">
        <PeerSince peer={peer} />
      </span>
    </>
  )
}

/** A sender's time is that of its last handshake: while rows come it says nothing. */
function PeerSince({ peer }: { readonly peer: Peer }): JSX.Element | null {
  const { direction, since, rowsPerS } = peer
  if (since === null) return null
  if (direction === 'out') return <For since={since} />
  return (rowsPerS ?? 0) > 0 ? null : <Distance at={since} />
}

function textOr<T>(value: T | null, text: (value: T) => string): JSX.Element {
  return value === null ? <span class="quiet">{nothing}</span> : <>{text(value)}</>
}
