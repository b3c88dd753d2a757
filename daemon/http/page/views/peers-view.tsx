/** All peers, with a filter. Live while there are few of them, asked again and again beyond. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Peer, Peers } from '../../api-types.ts'
import { getPeers } from '../client/api.ts'
import { firstRowLine } from '../model/action.ts'
import { countText, plural } from '../model/text.ts'
import { filterPeers, isStuck } from '../model/issue.ts'
import { CodeBlock } from '../parts/controls.tsx'
import { replaceRoute, useLoaded, usePage, useTyped } from '../parts/hooks.ts'
import { PeerTable } from '../parts/peer-table.tsx'
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
