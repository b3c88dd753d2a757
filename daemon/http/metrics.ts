/**
 * What `/metrics` says. Must never give a name or a label that depends on what an unauthenticated
 * peer sends.
 */
import { newCounters } from '../protocol/io.ts'
import type { Counters } from '../platform/counters.ts'
import { commitBoundsUs } from '../store/metrics.ts'
import { expositionText, type Family, type Histogram, type Sample } from './prometheus-format.ts'
import type { Count } from './api-types.ts'
import type { PeerMetrics } from './peer-metrics.ts'
import type { StoreFault } from '../store/store-fault.ts'
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
