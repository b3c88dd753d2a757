/** All peers, with a filter. Live while there are few of them, asked again and again beyond. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Peer, Peers } from '../../api-types.ts'
import {
  countText,
  estimateText,
  millisText,
  nothing,
  plural,
  rateText,
  shareText,
  shownLine,
  shownSentence,
} from '../model/text.ts'
import { hashOf, noQuery } from '../model/route.ts'
import { filterPeers, isStuck, peerStateText, toneOfPeer } from '../model/issue.ts'
import {
  Address,
  CodeBlock,
  type Column,
  Distance,
  Duration,
  For,
  NextTry,
  Table,
  Tag,
  Word,
} from '../parts/controls.tsx'
import { getPeers } from '../client/api.ts'
import { firstRowLine } from '../model/action.ts'
import { replaceRoute, useLoaded, usePage, useTyped } from '../parts/hooks.ts'
import { Empty, Failed, Loading } from '../parts/frame.tsx'

const everyMs = 5_000
const pagePeers = 100

export function PeersView({ filter }: { readonly filter: string }): JSX.Element {
  const { overview, gaps } = usePage().state
  const loaded = useLoaded(getPeers, { key: 'peers', again: gaps, everyMs })
  const isWhole = overview !== null && overview.peers.length === overview.peerCount
  const all = isWhole ? overview : loaded.value
  const found = filterPeers(all?.peers ?? [], filter)
  const typed = useTyped(filter, (text) => replaceRoute({ view: 'peers', filter: text }))
  return (
    <>
      <div class="view-head">
        <h1>Peers</h1>
        {all === null ? null : <p class="quiet">{totalText(all)}</p>}
      </div>
      <form
        class="search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault()
          typed.settle()
        }}
      >
        <label class="grow">
          <span>Filter by address, key, state or error</span>
          <input
            type="search"
            value={typed.text}
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget }) => typed.type(currentTarget.value)}
          />
        </label>
      </form>
      {all === null && loaded.failure === null ? <Loading what="the peers" /> : null}
      {all === null && loaded.failure !== null ? (
        <Failed failure={loaded.failure} again={loaded.reload} />
      ) : null}
      {all === null ? null : (
        <p class="off-screen" role="status">
          {filter === '' ? '' : `${plural(found.length, 'peer')} found.`}
        </p>
      )}
      {all !== null && found.length === 0 ? <NoPeers isFiltered={filter !== ''} /> : null}
      {found.length === 0 ? null : <PeerPages peers={found} />}
    </>
  )
}

function totalText({ peers, peerCount }: Peers): string {
  const stuck = peers.filter(isStuck).length
  const cut = peers.length < peerCount ? `, the worst ${countText(peers.length)} are here` : ''
  return `${plural(peerCount, 'peer')}, ${stuck === 0 ? 'none' : countText(stuck)} stuck${cut}.`
}

/** A thousand rows a second are too much to lay out: the worst, and more when they are wanted. */
function PeerPages({ peers }: { readonly peers: readonly Peer[] }): JSX.Element {
  const [count, setCount] = useState(pagePeers)
  return (
    <>
      <PeerTable caption="Peers, the worst first" peers={peers.slice(0, count)} isWhole={true} />
      {peers.length <= count ? null : (
        <p class="more">
          <button type="button" onClick={() => setCount(count + pagePeers)}>
            Show more ({countText(peers.length - count)} left)
          </button>
        </p>
      )}
    </>
  )
}

function NoPeers({ isFiltered }: { readonly isFiltered: boolean }): JSX.Element {
  const { overview } = usePage().state
  if (isFiltered) return <Empty title="No peer has all these words." />
  const line = firstRowLine(overview?.node.database)
  return (
    <Empty title="No peer yet: nothing was sent from here, and nothing came.">
      <CodeBlock title="Send a first row" text={line}>
        {line}
      </CodeBlock>
    </Empty>
  )
}

// Peers as a table: how it is going with each, and why it is not.

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
