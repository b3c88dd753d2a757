/**
 * The first screen: is anything wrong, where, since when, and what to do; then how it goes, and
 * what led to it.
 */
import type { JSX } from 'preact'
import type { Overview } from '../../observe/page-api.ts'
import { firstRowLine } from '../model/shell-line.ts'
import { plural } from '../model/quantity.ts'
import { hashOf } from '../model/route.ts'
import { isStuck } from '../model/trouble.ts'
import { CodeBlock } from '../parts/code-block.tsx'
import { Events } from '../parts/events.tsx'
import { NodeFacts } from '../parts/node-facts.tsx'
import { OverviewTiles } from '../parts/overview-tiles.tsx'
import { usePage } from '../parts/page-context.ts'
import { PeerTable } from '../parts/peer-table.tsx'
import { PlotsSection } from '../parts/plots-section.tsx'
import { Empty, Loading } from '../parts/state-notes.tsx'
import { Verdict } from '../parts/verdict.tsx'

const peersMax = 8

export function OverviewView(): JSX.Element {
  const { state, findings } = usePage()
  const { overview, link } = state
  return (
    <>
      <h1 class="off-screen">Overview</h1>
      {overview === null && link.type !== 'lost' ? <Loading what="what the daemon says" /> : null}
      {overview === null ? null : (
        <>
          <Verdict overview={overview} findings={findings} isLive={link.type === 'live'} />
          <OverviewTiles overview={overview} />
          <PeersSection overview={overview} />
          <PlotsSection />
          <div class="columns">
            <Events events={overview.lastEvents} />
            <NodeFacts overview={overview} />
          </div>
        </>
      )}
    </>
  )
}

function PeersSection({ overview }: { readonly overview: Overview }): JSX.Element {
  const { peers, peerCount, node } = overview
  const stuck = peers.filter(isStuck).length
  // All that are stuck and among the worst, and some of the others.
  const shown = peers.slice(0, Math.max(peersMax, stuck))
  return (
    <section aria-labelledby="peers-title">
      <div class="section-head">
        <h2 id="peers-title">
          Peers{' '}
          <span class="count">{stuck === 0 ? peerCount : `${stuck} stuck of ${peerCount}`}</span>
        </h2>
        {peerCount > shown.length ? (
          <a href={hashOf({ view: 'peers', filter: '' })}>All {plural(peerCount, 'peer')}</a>
        ) : null}
      </div>
      {peers.length === 0 ? (
        <Empty title="No peer yet: nothing was sent from here, and nothing came.">
          <p>A row in the outbox is all it takes:</p>
          <CodeBlock title="Send a first row" text={firstRowLine(node.database)}>
            {firstRowLine(node.database)}
          </CodeBlock>
        </Empty>
      ) : (
        <PeerTable caption="Peers, the worst first" peers={shown} />
      )}
    </section>
  )
}
