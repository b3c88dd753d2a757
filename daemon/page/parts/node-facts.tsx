/** The node itself: where it is, what it costs, how fast its disk is. */
import type { JSX } from 'preact'
import type { Overview } from '../../observe/page-api.ts'
import { bytesText, countText, microsText, nothing } from '../model/quantity.ts'
import { shownLine } from '../model/shown-text.ts'
import { Facts } from './facts.tsx'
import { Distance } from './time.tsx'

export function NodeFacts({ overview }: { readonly overview: Overview }): JSX.Element {
  const { node, commit, disk, totals } = overview
  return (
    <section aria-labelledby="node-title">
      <h2 id="node-title">This node</h2>
      <Facts
        facts={[
          ['Database', <bdi class="word">{shownLine(node.database)}</bdi>],
          ['Listens on', node.address],
          ['Started', <Distance at={node.startedAt} />],
          ['Version, process', `${node.version}, ${node.pid}`],
          ['Keys', node.hasKeys ? 'key ring' : 'no key ring: tokens are labels'],
          ['Database size', textOr(disk.databaseBytes, bytesText)],
          ['Write-ahead log', textOr(disk.walBytes, bytesText)],
          ['Free disk', textOr(disk.freeBytes, bytesText)],
          ['Commit, median', textOr(commit.p50Us, microsText)],
          ['Commit, 99 %', textOr(commit.p99Us, microsText)],
          [
            'Packets out, in',
            `${countText(totals.packetsSent)}, ${countText(totals.packetsReceived)}`,
          ],
          ['Lost and sent again', countText(totals.retransmittedPackets)],
        ]}
      />
    </section>
  )
}

function textOr(value: number | null, text: (value: number) => string): string {
  return value === null ? nothing : text(value)
}
