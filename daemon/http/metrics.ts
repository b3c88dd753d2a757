/**
 * What `/metrics` says. Must never give a name or a label that depends on what an unauthenticated
 * peer sends.
 */
import type { Count, Peer } from './api-types.ts'
import { newCounters } from '../protocol/io.ts'
import type { Counters } from '../platform/counters.ts'
import { commitBoundsUs } from '../store/metrics.ts'
import type { StoreFault } from '../store/error-classification.ts'
import type { TablesSnapshot } from './reader/overview.ts'

/** What belongs to the process, and not to the daemon alone. */
export type ProcessFacts = {
  readonly version: string
  readonly startedAtMs: number
  readonly residentBytes: number
  readonly cpuUs: number
}

export type MetricsInput = {
  readonly counters: Counters
  readonly process: ProcessFacts
  /** Undefined: the tables cannot be read at this moment. */
  readonly look: TablesSnapshot | undefined
  readonly isReady: boolean
  /** What keeps the store from writing. */
  readonly fault: StoreFault | undefined
  /** Requests that were rejected, by why. */
  readonly refused: { readonly [reason: string]: number }
}

export function metricsText(input: MetricsInput, series: PeerMetrics): string {
  const { look } = input
  const fromTables =
    look === undefined ? [] : [...tableFamilies(look), ...series.families(look.peers)]
  return expositionText([
    ...processFamilies(input),
    ...counterFamilies(input.counters),
    commitTimes(input.counters),
    ...fromTables,
  ])
}

function gauge(name: string, help: string, value: number | null): Family {
  return { name, type: 'gauge', help, samples: value === null ? [] : [{ value }] }
}

function counter(name: string, help: string, value: number): Family {
  return { name, type: 'counter', help, samples: [{ value }] }
}

function counterBy(
  name: string,
  help: string,
  label: string,
  counts: { readonly [kind: string]: number },
): Family {
  const samples: Sample[] = Object.entries(counts).map(([kind, value]) => {
    return { labels: { [label]: kind }, value }
  })
  return { name, type: 'counter', help, samples }
}

function processFamilies({ process, look, isReady, fault, refused }: MetricsInput): Family[] {
  const { version, startedAtMs, residentBytes, cpuUs } = process
  const built = { labels: { version }, value: 1 }
  return [
    { name: 'tinymq_build_info', type: 'gauge', help: 'The version of tinymq.', samples: [built] },
    gauge('tinymq_ready', '1 while peers are served, as /readyz says.', Number(isReady)),
    {
      name: 'tinymq_store_fault',
      type: 'gauge',
      help: '1 while something keeps the store from writing, by its code; level as in the log.',
      samples: [
        {
          labels: { code: fault?.code ?? '', level: fault?.level ?? '' },
          value: Number(fault !== undefined),
        },
      ],
    },
    gauge(
      'tinymq_tables_readable',
      '1 when the tables could be read for this answer; else what they tell is left out.',
      Number(look !== undefined),
    ),
    gauge(
      'process_start_time_seconds',
      'When the daemon started, seconds since 1970.',
      startedAtMs / 1_000,
    ),
    gauge('process_resident_memory_bytes', 'Memory of the process.', residentBytes),
    counter('process_cpu_seconds_total', 'Processor time of the process.', cpuUs / 1e6),
    counterBy(
      'tinymq_http_requests_rejected_total',
      'HTTP requests that were rejected, by reason.',
      'reason',
      refused,
    ),
  ]
}

function counterFamilies({ done, core, lost, packets, ...counters }: Counters): Family[] {
  return [
    counter(
      'tinymq_delivered_messages_total',
      'Rows that left mqout because the peer has them on disk.',
      done.delivered,
    ),
    counter('tinymq_received_messages_total', 'Rows that came into mqin.', done.received),
    counter('tinymq_packets_total', 'Packets sent that ask for an ack.', packets),
    counter(
      'tinymq_retransmitted_packets_total',
      'Of these, packets that were lost, so that what they carried was sent again.',
      lost,
    ),
    counter('tinymq_datagrams_sent_total', 'Datagrams sent.', core?.datagramsOut ?? 0),
    counter('tinymq_datagrams_received_total', 'Datagrams received.', core?.datagramsIn ?? 0),
    counter('tinymq_sent_bytes_total', 'Bytes of datagrams sent.', core?.bytesOut ?? 0),
    counter('tinymq_received_bytes_total', 'Bytes of datagrams received.', core?.bytesIn ?? 0),
    counterBy(
      'tinymq_dropped_datagrams_total',
      'Datagrams dropped without effect, by reason.',
      'reason',
      (core ?? newCounters()).dropped,
    ),
    counterBy(
      'tinymq_send_errors_total',
      'Datagrams that the system would not send, by its code.',
      'code',
      counters.sendsFailed,
    ),
    counterBy(
      'tinymq_receive_errors_total',
      'Errors of the socket, by the code of the system.',
      'code',
      counters.receivesFailed,
    ),
    counterBy('tinymq_events_total', 'What the log shows, by kind.', 'type', counters.events),
    counter('tinymq_dns_lookups_total', 'Names that were looked up.', counters.namesAsked),
    counter(
      'tinymq_store_busy_seconds_total',
      'Time that the thread of the store was at work.',
      counters.storeBusyUs / 1e6,
    ),
  ]
}

function commitTimes({ done }: Counters): Histogram {
  return {
    name: 'tinymq_commit_seconds',
    type: 'histogram',
    help: 'How long the COMMITs of the store took, until all was on disk.',
    bounds: commitBoundsUs.map((us) => us / 1e6),
    counts: done.commitTimes,
    sum: done.commitUs / 1e6,
  }
}

const inSeconds = (ms: number | null): number => (ms ?? 0) / 1_000
const isEstimate = ({ isExact }: Count): number => Number(!isExact)

function tableFamilies({ outbox, inbox, disk, peerCount }: TablesSnapshot): Family[] {
  const { waiting, inFlight, parked } = outbox
  return [
    gauge(
      'tinymq_outbox_rows',
      'Rows of mqout, those in flight and parked included.',
      waiting.value,
    ),
    gauge('tinymq_outbox_in_flight_rows', 'Rows sent and not yet confirmed.', inFlight.value),
    gauge('tinymq_outbox_parked_rows', 'Rows that a peer has rejected.', parked.value),
    gauge(
      'tinymq_outbox_oldest_age_seconds',
      'Age of the oldest row of mqout, 0 without one.',
      inSeconds(outbox.oldestAgeMs),
    ),
    gauge('tinymq_inbox_rows', 'Rows of mqin.', inbox.rows.value),
    gauge(
      'tinymq_inbox_oldest_age_seconds',
      'How long ago the oldest row of mqin arrived, 0 without one.',
      inSeconds(inbox.oldestAgeMs),
    ),
    gauge('tinymq_dead_letter_rows', 'Rows of mqdead.', inbox.dead.value),
    {
      name: 'tinymq_row_counts_estimated',
      type: 'gauge',
      help: '1 where the number of rows is an estimate: beyond 20,000 they are sampled.',
      samples: [
        { labels: { table: 'mqout' }, value: isEstimate(waiting) },
        { labels: { table: 'mqin' }, value: isEstimate(inbox.rows) },
        { labels: { table: 'mqdead' }, value: isEstimate(inbox.dead) },
        { labels: { table: 'mqparked' }, value: isEstimate(parked) },
      ],
    },
    gauge('tinymq_peers', 'Streams to and from peers.', peerCount),
    gauge('tinymq_database_bytes', 'Size of the database file.', disk.databaseBytes),
    gauge('tinymq_wal_bytes', 'Size of its write-ahead log.', disk.walBytes),
    gauge('tinymq_disk_free_bytes', 'Free on the disk of the database.', disk.freeBytes),
  ]
}

// The series of peers in the metrics: at most fifty of each kind, the rest summed as host
// "other". Who has a series keeps it, so that the sum of the rest does not fall for no reason.
// Must never give two series the same labels.

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

// The text format of Prometheus (exposition format 0.0.4). Must never let a label's value be
// anything but that value.

export type Labels = { readonly [name: string]: string }
export type Sample = { readonly labels?: Labels; readonly value: number }

export type Family = {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly Sample[]
}

export type Histogram = {
  readonly name: string
  readonly type: 'histogram'
  readonly help: string
  /** Upper bounds, without the last class, which has none. */
  readonly bounds: readonly number[]
  /** How many are in each class. */
  readonly counts: readonly number[]
  readonly sum: number
}

export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

export function expositionText(families: readonly (Family | Histogram)[]): string {
  return families.map(familyText).join('')
}

function familyText(family: Family | Histogram): string {
  const { name, type, help } = family
  const lines = family.type === 'histogram' ? histogramLines(family) : sampleLines(family)
  // A family without a sample says nothing.
  if (lines.length === 0) return ''
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

const sampleLines = ({ name, samples }: Family): string[] =>
  samples.map(({ labels, value }) => line(name, labels ?? {}, value))

function histogramLines({ name, bounds, counts, sum }: Histogram): string[] {
  let total = 0
  const buckets = counts.map((count, index) => {
    total += count
    const bound = bounds[index]
    return line(`${name}_bucket`, { le: bound === undefined ? '+Inf' : numberText(bound) }, total)
  })
  return [...buckets, line(`${name}_sum`, {}, sum), line(`${name}_count`, {}, total)]
}

function line(name: string, labels: Labels, value: number): string {
  const list = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  const braces = list.length === 0 ? '' : `{${list.join(',')}}`
  return `${name}${braces} ${numberText(value)}\n`
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}

const escapes: { readonly [character: string]: string } = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }

/** Lone surrogates are not UTF-8. */
function escapeLabel(text: string): string {
  return text.toWellFormed().replace(/[\\"\n]/g, (character) => escapes[character] ?? character)
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (character) => escapes[character] ?? character)
}
