/**
 * The series of peers in the metrics: at most fifty of each kind, the rest summed as host "other".
 * Who has a series keeps it, so that the sum of the rest does not fall for no reason. Must never
 * give two series the same labels.
 */
import type { Family, Labels, Sample } from './prometheus-format.ts'
import type { Peer } from './api-types.ts'

const seriesMax = 50

type Column = {
  readonly name: string
  readonly type: Family['type']
  readonly help: string
  readonly direction: Peer['direction']
  /** Of the host and port, or of each key there too. */
  readonly by: 'place' | 'key'
  /** How the rest becomes one: a sum, or the worst of them; null: it is left out. */
  readonly rest: ((a: number, b: number) => number) | null
  readonly value: (peer: Peer) => number | null
}

const plus = (a: number, b: number): number => a + b

const columns: readonly Column[] = [
  {
    name: 'tinymq_peer_outbox_rows',
    type: 'gauge',
    help: 'Rows of mqout for this peer, those in flight and parked included.',
    direction: 'out',
    by: 'place',
    rest: plus,
    value: ({ waiting }) => waiting?.value ?? 0,
  },
  {
    name: 'tinymq_peer_oldest_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest row of mqout for this peer, 0 without one.',
    direction: 'out',
    by: 'place',
    rest: Math.max,
    value: ({ oldestAgeMs }) => (oldestAgeMs ?? 0) / 1_000,
  },
  {
    name: 'tinymq_peer_up',
    type: 'gauge',
    help: '1 while the stream to this peer is open or at rest, 0 while something is wrong.',
    direction: 'out',
    by: 'key',
    rest: null,
    value: ({ errorCode, state }) => (errorCode === null && state !== 'waiting' ? 1 : 0),
  },
  {
    name: 'tinymq_peer_rtt_seconds',
    type: 'gauge',
    help: 'Round-trip time to this peer.',
    direction: 'out',
    by: 'key',
    rest: null,
    value: ({ rttMs }) => (rttMs === null ? null : rttMs / 1_000),
  },
  {
    name: 'tinymq_peer_delivered_messages_total',
    type: 'counter',
    help: 'Messages that this peer has confirmed, skipped ones included.',
    direction: 'out',
    by: 'key',
    rest: plus,
    value: ({ watermark }) => watermark,
  },
  {
    name: 'tinymq_peer_packets_total',
    type: 'counter',
    help: 'Packets sent to this peer that ask for an ack.',
    direction: 'out',
    by: 'key',
    rest: plus,
    value: ({ packets }) => packets,
  },
  {
    name: 'tinymq_peer_lost_packets_total',
    type: 'counter',
    help: 'Of these, packets that were lost, so that what they carried was sent again.',
    direction: 'out',
    by: 'key',
    rest: plus,
    value: ({ lost }) => lost,
  },
  {
    name: 'tinymq_peer_received_messages_total',
    type: 'counter',
    help: 'Messages that came from this peer, skipped ones included.',
    direction: 'in',
    by: 'key',
    rest: plus,
    value: ({ watermark }) => watermark,
  },
]

export class PeerMetrics {
  readonly #admitted = new Set<string>()

  /** `peers`: the worst first. */
  families(peers: readonly Peer[]): Family[] {
    this.#admit(peers)
    return columns.map((column) => {
      const { name, type, help } = column
      return { name, type, help, samples: this.#samples(column, peers) }
    })
  }

  #admit(peers: readonly Peer[]): void {
    const present = new Set(peers.map(nameOf))
    for (const name of this.#admitted) if (!present.has(name)) this.#admitted.delete(name)
    for (const name of present) if (this.#admitted.size < seriesMax) this.#admitted.add(name)
  }

  #samples(column: Column, peers: readonly Peer[]): Sample[] {
    const series = new Map<string, Sample>()
    const destinations = new Set<string>()
    for (const peer of peers.filter(({ direction }) => direction === column.direction)) {
      const value = column.value(peer)
      // All keys of a place have the same backlog.
      if (value === null || (column.by === 'place' && destinations.has(nameOf(peer)))) continue
      destinations.add(nameOf(peer))
      const isAdmitted = this.#admitted.has(nameOf(peer))
      if (!isAdmitted && column.rest === null) continue
      const labels = isAdmitted ? labelsOf(peer, column.by) : rest
      const name = isAdmitted ? JSON.stringify(labels) : ''
      const before = series.get(name)?.value
      // Several streams may come from one sender: it was made again, say.
      const sum = before === undefined ? value : (column.rest ?? plus)(before, value)
      series.set(name, { labels, value: sum })
    }
    return Array.from(series.values())
  }
}

const rest: Labels = { host: 'other', port: '' }

const nameOf = ({ direction, host, port }: Peer): string => `${direction} ${port} ${host}`

function labelsOf({ host, port, key }: Peer, by: Column['by']): Labels {
  const destination = { host, port: String(port) }
  return by === 'place' ? destination : { ...destination, key }
}
