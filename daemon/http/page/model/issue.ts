/**
 * What is wrong, worst first, and in which colour. Must never invent a fault: the daemon checks,
 * and the page says it in the order in which one deals with it.
 */
import type { HealthFinding, HealthLevel, InboxState, OutboxState, Peer } from '../../api-types.ts'
import { plural, shownLine } from './text.ts'

export type Tone = 'ok' | 'warn' | 'error' | 'quiet'

const order: Record<HealthLevel, number> = { error: 0, warn: 1, ok: 2 }

export function worstFirst(findings: readonly HealthFinding[]): HealthFinding[] {
  return findings.toSorted((a, b) => order[a.level] - order[b.level])
}

/** The one line that an operator who was woken reads first. */
export function headlineOf(level: HealthLevel, findings: readonly HealthFinding[] | null): string {
  if (level === 'ok') return 'All is well'
  const counted = (wanted: HealthLevel, word: string): string[] => {
    const count = (findings ?? []).filter((finding) => finding.level === wanted).length
    return count === 0 ? [] : [plural(count, word)]
  }
  const parts = [...counted('error', 'error'), ...counted('warn', 'warning')]
  if (parts.length > 0) return parts.join(', ')
  return level === 'error' ? 'Something is wrong' : 'Something needs a look'
}

/** What is read out when it changes. */
export const levelSentences: Record<HealthLevel, string> = {
  ok: 'All is well.',
  warn: 'There are warnings.',
  error: 'There are errors.',
}

/** The title of the tab: what is wrong can be read there without opening it. */
export function titleOf(
  view: string,
  name: string | null,
  level: HealthLevel | null,
  isLost: boolean,
): string {
  const place = [view, ...(name === null ? [] : [shownLine(name)]), 'tinymq'].join(' · ')
  if (isLost) return `? ${place}`
  if (level === 'error') return `✕ ${place}`
  return level === 'warn' ? `! ${place}` : place
}

/** Whether rows for this peer wait because of a fault. */
export function isStuck({ direction, errorCode, state }: Peer): boolean {
  return direction === 'out' && (errorCode !== null || state === 'waiting')
}

export function toneOfPeer(peer: Peer): Tone {
  if (isStuck(peer) || peer.errorCode !== null) return 'warn'
  if (peer.state === 'connecting') return 'warn'
  return peer.state === 'open' ? 'ok' : 'quiet'
}

/** The state in a word; a sender has none of its own. */
export function peerStateText(peer: Peer): string {
  if (isStuck(peer)) return 'stuck'
  return peer.state ?? (peer.direction === 'in' ? 'sender' : 'unknown')
}

/** Since when the oldest of the faults that keep rows waiting lasts; null when there is none. */
export function stuckSince(peers: readonly Peer[]): number | null {
  const times = peers.filter(isStuck).flatMap(({ since }) => (since === null ? [] : [since]))
  return times.length === 0 ? null : Math.min(...times)
}

/** Peers of which the address, key, state or fault has all the words. */
export function filterPeers(peers: readonly Peer[], filter: string): readonly Peer[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  if (words.length === 0) return peers
  return peers.filter((peer) => {
    const { direction, host, port, key, errorCode, error } = peer
    const parts = [direction, `${host}:${port}`, key, peerStateText(peer), errorCode, error]
    const text = parts.join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

const rowTones: Record<OutboxState | InboxState, Tone> = {
  waiting: 'quiet',
  'in-flight': 'ok',
  parked: 'warn',
  ready: 'ok',
  leased: 'ok',
  dead: 'error',
}

export function rowStateText(state: OutboxState | InboxState): string {
  return state.replace('-', ' ')
}

export function toneOfRow(state: OutboxState | InboxState): Tone {
  return rowTones[state]
}
