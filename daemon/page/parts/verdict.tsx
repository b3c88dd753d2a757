/** The first thing that is read: whether anything is wrong, and what to do about it. */
import type { JSX } from 'preact'
import type { HealthFinding, Overview } from '../../observe/page-api.ts'
import { plural } from '../model/quantity.ts'
import { hashOf } from '../model/route.ts'
import { headlineOf, stuckSince, worstFirst } from '../model/trouble.ts'
import { Findings } from './findings.tsx'
import { LevelIcon } from './icon.tsx'
import { Clock, For } from './time.tsx'

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
