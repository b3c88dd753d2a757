/** The numbers of the first screen. */
import type { JSX } from 'preact'
import type { Overview } from '../../observe/page-api.ts'
import { bytesText, countText, estimateText, rateText } from '../model/quantity.ts'
import { hashOf, noQuery, type Query } from '../model/route.ts'
import { Tile } from './tile.tsx'
import { Duration } from './time.tsx'

const outbox = (query: Partial<Query>): string =>
  hashOf({ view: 'list', box: 'outbox', query: { ...noQuery, ...query } })
const inbox = (query: Partial<Query>): string =>
  hashOf({ view: 'list', box: 'inbox', query: { ...noQuery, ...query } })

export function OverviewTiles({ overview }: { readonly overview: Overview }): JSX.Element {
  const { outbox: out, inbox: into, rates, totals } = overview
  const isParked = out.parked.value > 0
  const isDead = into.dead.value > 0
  return (
    <ul class="tiles" aria-label="Key figures">
      <Tile
        label="Backlog"
        href={outbox({})}
        value={estimateText(out.waiting)}
        note={`${estimateText(out.inFlight)} in flight`}
      />
      <Tile
        label="Oldest row"
        value={<Duration ms={out.oldestAgeMs} />}
        note={out.oldestAgeMs === null ? 'the outbox is empty' : 'in the outbox'}
      />
      <Tile
        label="Parked"
        href={outbox({ state: 'parked' })}
        tone={isParked ? 'warn' : undefined}
        value={estimateText(out.parked)}
        note={isParked ? 'set aside, tried again' : 'none is set aside'}
      />
      <Tile
        label="Sent"
        value={rateText(rates.sentPerS)}
        note={flowText(totals.sent, rates.sentBytesPerS)}
      />
      <Tile
        label="Received"
        value={rateText(rates.receivedPerS)}
        note={flowText(totals.received, rates.receivedBytesPerS)}
      />
      <Tile
        label="Inbox"
        href={inbox({})}
        value={estimateText(into.rows)}
        note={<InboxNote ageMs={into.oldestAgeMs} />}
      />
      <Tile
        label="Dead letters"
        href={inbox({ isDead: true })}
        tone={isDead ? 'warn' : undefined}
        value={estimateText(into.dead)}
        note={isDead ? 'no consumer could process' : 'none'}
      />
    </ul>
  )
}

/** Just after a silence the daemon does not know the bytes yet. */
function flowText(total: number, bytesPerS: number): string {
  const bytes = bytesPerS === 0 ? '' : ` · ${bytesText(bytesPerS)}/s`
  return `${countText(total)} since start${bytes}`
}

function InboxNote({ ageMs }: { readonly ageMs: number | null }): JSX.Element {
  if (ageMs === null) return <>nothing waits for a consumer</>
  return (
    <>
      oldest <Duration ms={ageMs} />
    </>
  )
}
