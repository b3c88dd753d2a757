/** The numbers of the first screen. */
import type { JSX } from 'preact'
import type { ApiEvent, HealthFinding, HealthLevel, Overview } from '../../api-types.ts'
import { headlineOf, stuckSince, worstFirst } from '../model/issue.ts'
import { hashOf, noQuery, type Query } from '../model/route.ts'
import {
  bytesText,
  countText,
  distinct,
  estimateText,
  microsText,
  nothing,
  plural,
  rateText,
  shownLine,
  shownSentence,
} from '../model/text.ts'
import { Address, Clock, Distance, Duration, Facts, For, LevelIcon, Tile } from './controls.tsx'

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

// The first thing that is read: whether anything is wrong, and what to do about it.

const findingsMax = 5

type Props = {
  readonly overview: Overview
  readonly findings: readonly HealthFinding[] | null
  readonly isLive: boolean
}

export function Verdict({ overview, findings, isLive }: Props): JSX.Element {
  const level = isLive ? overview.health : null
  const wrong = worstFirst(findings ?? []).filter((finding) => finding.level !== 'ok')
  const since = stuckSince(overview.peers)
  const headline = level === null ? 'Unknown while not connected' : headlineOf(level, findings)
  return (
    <section class={`verdict verdict-${level ?? 'none'}`} aria-labelledby="verdict-title">
      <div class="verdict-head">
        <LevelIcon level={level} />
        <h2 id="verdict-title">{headline}</h2>
        {level === 'ok' ? <p class="quiet">{peersText(overview)}</p> : null}
        {level === null || since === null ? null : (
          <p class="quiet">
            Rows are stuck since <Clock at={since} />, <For since={since} />.
          </p>
        )}
      </div>
      {wrong.length === 0 ? null : <Findings findings={wrong.slice(0, findingsMax)} />}
      {wrong.length > findingsMax ? (
        <p>
          <a href={hashOf({ view: 'health' })}>All {plural(wrong.length, 'finding')}</a>
        </p>
      ) : null}
    </section>
  )
}

function peersText({ peerCount }: Overview): string {
  return peerCount === 0 ? 'No peer yet.' : `${plural(peerCount, 'peer')}, none of them stuck.`
}

// What the daemon finds right and wrong with itself, the worst first, each with what to do.

const levelWords: Record<HealthLevel, string> = { ok: 'Fine', warn: 'Warning', error: 'Error' }

export function Findings({
  findings,
}: {
  readonly findings: readonly HealthFinding[]
}): JSX.Element {
  return (
    <ul class="findings">
      {worstFirst(findings).map((finding) => (
        <li key={`${finding.code} ${finding.sentence}`} class={`finding finding-${finding.level}`}>
          <LevelIcon level={finding.level} />
          <div>
            <p class="finding-sentence">
              <span class="off-screen">{levelWords[finding.level]}: </span>
              <bdi>{shownSentence(finding.sentence)}</bdi> <code class="code">{finding.code}</code>
            </p>
            {finding.hint === '' ? null : (
              <p class="finding-hint">
                <bdi>{shownSentence(finding.hint)}</bdi>
              </p>
            )}
          </div>
        </li>
      ))}
    </ul>
  )
}

// What happened lately that an operator must know, the newest first.

export function Events({ events }: { readonly events: readonly ApiEvent[] }): JSX.Element {
  const keys = distinct(events.map(({ at, code, host, port }) => `${at} ${code} ${host} ${port}`))
  return (
    <section aria-labelledby="events-title">
      <h2 id="events-title">Last events</h2>
      {events.length === 0 ? <p class="quiet">Nothing out of the ordinary so far.</p> : null}
      <ol class="events">
        {events.map((event, index) => (
          <li key={keys[index]}>
            <span class="event-at">
              <Clock at={event.at} />
            </span>
            <div>
              <bdi>{shownSentence(event.sentence)}</bdi>{' '}
              {event.host === null ? null : (
                <span class="quiet">
                  <Address host={event.host} port={event.port} />{' '}
                </span>
              )}
              <code class="code">{event.code}</code>
            </div>
          </li>
        ))}
      </ol>
    </section>
  )
}

// The node itself: where it is, what it costs, how fast its disk is.

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
