/**
 * The first screen: is anything wrong, where, since when, and what to do; then how it goes, and
 * what led to it.
 */
import type { JSX } from 'preact'
import type { Overview } from '../../api-types.ts'
import { firstRowLine } from '../model/action.ts'
import { headlineOf, isStuck } from '../model/issue.ts'
import { hashOf } from '../model/route.ts'
import { plural, shortened, shownLine } from '../model/text.ts'
import { CodeBlock } from '../parts/controls.tsx'
import { Empty, Loading } from '../parts/frame.tsx'
import { usePage } from '../parts/hooks.ts'
import { PeerTable } from './peers-view.tsx'
import { PlotsSection } from '../parts/plots.tsx'
import { Events, Findings, NodeFacts, OverviewTiles, Verdict } from '../parts/summary.tsx'

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

// All that the daemon finds when it looks at itself.

export function HealthView(): JSX.Element {
  const { state, findings } = usePage()
  const { overview, link } = state
  return (
    <>
      <div class="view-head">
        <h1>Health</h1>
        {overview === null || link.type === 'lost' ? null : (
          <p class="quiet">{headlineOf(overview.health, findings)}.</p>
        )}
      </div>
      {findings === null ? <NoFindings isLost={link.type === 'lost'} /> : null}
      {findings === null ? null : (
        <div class="note">
          <Findings findings={findings} />
        </div>
      )}
      <p class="quiet view-end">
        <code>tinymq doctor</code> on the machine looks further: at clocks, disks, ports and mounts.
      </p>
    </>
  )
}

function NoFindings({ isLost }: { readonly isLost: boolean }): JSX.Element {
  if (!isLost) return <Loading what="the findings" />
  return <p class="note">While it is not connected, nobody knows.</p>
}

// An address that names nothing here.

export function UnknownView({ path }: { readonly path: string }): JSX.Element {
  return (
    <>
      <h1>Not found</h1>
      <Empty title="There is no such view.">
        <p>
          <code>{shortened(shownLine(path), 100)}</code> names nothing here.{' '}
          <a href="#/">To the overview</a>
        </p>
      </Empty>
    </>
  )
}
