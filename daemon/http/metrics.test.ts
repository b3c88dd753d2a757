import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  array,
  assert as always,
  constantFrom,
  integer,
  oneof,
  property,
  record,
  string,
} from 'fast-check'
import { createCounters } from '../platform/counters.ts'
import { commitBoundsUs } from '../store/metrics.ts'
import { percentileUs } from './time-series.ts'
import { type MetricsInput, PeerMetrics, expositionText, metricsText } from './metrics.ts'
import type { Peer } from './api-types.ts'
import type { TablesSnapshot } from './reader/overview.ts'
import { AppBench } from '../../test/support/app-fixture.ts'
import { readExposition, valueOf } from '../../test/support/exposition-grammar.ts'

const none = { value: 0, isExact: true }
const emptyLook: TablesSnapshot = {
  outbox: { waiting: none, inFlight: none, parked: none, oldestAgeMs: null },
  inbox: { rows: none, oldestAgeMs: null, dead: none },
  disk: { freeBytes: null, databaseBytes: 1, walBytes: null },
  peerCount: 0,
  lastEvents: [],
  peers: [],
}

function inputOf(peers: readonly Peer[]): MetricsInput {
  const counters = createCounters()
  counters.done.commitTimes[3] = 5
  return {
    counters,
    process: { version: '1', startedAtMs: 1, residentBytes: 1, cpuUs: 1 },
    look: { ...emptyLook, peers, peerCount: peers.length },
    isReady: true,
    fault: undefined,
    refused: {},
  }
}

function peer(host: string, more: Partial<Peer> = {}): Peer {
  return {
    direction: 'out',
    host,
    port: 9000,
    key: '',
    state: 'open',
    errorCode: null,
    error: null,
    since: 1,
    retryAt: null,
    waiting: { value: 10, isExact: true },
    oldestAgeMs: 2_000,
    watermark: 7,
    rttMs: 1.5,
    packets: 100,
    lost: 5,
    lossShare: 0.05,
    rowsPerS: 1,
    lastEvent: null,
    ...more,
  }
}

test('the answer is of the format, with what tables and counters say', async (context) => {
  const bench = new AppBench(context)
  bench.db.exec(`
    INSERT INTO mqout (host, data) VALUES ('b', ''), ('b', '');
    UPDATE mqout SET created_at = ${Date.now() - 60_000};
    INSERT INTO mqlane (host, port, state, confirmed, rtt_us, packets, lost)
      VALUES ('b', 9000, 'open', 41, 1500, 40, 10);`)
  bench.counters.done.delivered = 41
  bench.counters.sendsFailed['EHOSTUNREACH'] = 3
  const answer = await bench.ask('/metrics')
  equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const families = readExposition(await answer.text())
  const peerLabels = { host: 'b', port: '9000' }
  deepEqual(
    [
      valueOf(families, 'tinymq_outbox_rows'),
      valueOf(families, 'tinymq_peer_outbox_rows', peerLabels),
      valueOf(families, 'tinymq_delivered_messages_total'),
      valueOf(families, 'tinymq_peer_rtt_seconds', peerLabels),
      valueOf(families, 'tinymq_peer_lost_packets_total', peerLabels),
      valueOf(families, 'tinymq_send_errors_total', { code: 'EHOSTUNREACH' }),
      valueOf(families, 'tinymq_tables_readable'),
    ],
    [2, 2, 41, 0.0015, 10, 3, 1],
  )
  const age = valueOf(families, 'tinymq_peer_oldest_age_seconds', peerLabels) ?? 0
  ok(Math.abs(age - 60) < 10)
})

test('whatever hosts and keys are called, the text is of the format and says what they are', () => {
  const wild = oneof(
    string({ unit: 'binary', maxLength: 20 }),
    constantFrom('a"} 1\nevil 1', '\\', '\\n', '"', '\u2028', '\ud800', 'other', '', '{}', 'é'),
  )
  const peers = array(
    record({
      host: wild,
      key: wild,
      port: integer({ min: 0, max: 65_535 }),
      isIn: constantFrom(0, 1),
    }),
    { maxLength: 80 },
  )
  always(
    property(peers, (list) => {
      const given = list.map(({ host, key, port, isIn }) =>
        peer(host, { key, port, direction: isIn === 1 ? 'in' : 'out' }),
      )
      const families = readExposition(metricsText(inputOf(given), new PeerMetrics()))
      const reported = families.flatMap(({ series }) => series)
      ok(reported.length < 1_000)
      const hosts = new Set(given.map(({ host }) => host.toWellFormed()))
      for (const { labels } of reported) {
        const host = labels.get('host')
        ok(host === undefined || hosts.has(host) || host === 'other')
      }
    }),
  )
})

test('fifty peers have series, the rest is summed, and who has one keeps it', () => {
  const series = new PeerMetrics()
  const all = Array.from({ length: 120 }, (_, index) => peer(`h${index}`))
  const read = (peers: readonly Peer[]) => readExposition(metricsText(inputOf(peers), series))
  const first = read(all)
  const hosts = (families: ReturnType<typeof read>): string[] =>
    families
      .filter(({ name }) => name === 'tinymq_peer_outbox_rows')
      .flatMap((family) => family.series.map(({ labels }) => labels.get('host') ?? ''))
  equal(hosts(first).length, 51)
  equal(valueOf(first, 'tinymq_peer_outbox_rows', { host: 'other' }), 700)
  equal(valueOf(first, 'tinymq_peer_oldest_age_seconds', { host: 'other' }), 2)
  equal(valueOf(first, 'tinymq_peer_rtt_seconds', { host: 'other' }), undefined)
  deepEqual(hosts(read(all.toReversed())).toSorted(), hosts(first).toSorted())
  // A place with two keys has one backlog; two streams of one sender are one series.
  const twice = read([peer('h0'), peer('h0', { key: 'k' })])
  equal(valueOf(twice, 'tinymq_peer_outbox_rows', { host: 'h0' }), 10)
  const inbound = read([peer('d', { direction: 'in' }), peer('d', { direction: 'in' })])
  equal(valueOf(inbound, 'tinymq_peer_received_messages_total', { host: 'd' }), 14)
})

test('without the tables the counters are reported all the same', () => {
  const text = metricsText({ ...inputOf([]), look: undefined }, new PeerMetrics())
  const families = readExposition(text)
  equal(valueOf(families, 'tinymq_tables_readable'), 0)
  equal(valueOf(families, 'tinymq_commit_seconds_count'), 5)
  ok(!text.includes('tinymq_outbox_rows'))
})

test('the grammar rejects what is not of the format', () => {
  const head = '# HELP a b\n# TYPE a gauge\n'
  const wrong = [
    `${head}a 1`,
    'a 1\n',
    `${head}a{b="c} 1\n`,
    `${head}a{b="\\x"} 1\n`,
    `${head}a 1\na 2\n`,
    `${head}a one\n`,
    `${head}a{1b="c"} 1\n`,
    '# HELP a b\n# TYPE a counter\na 1\n',
    `${head}b 1\n`,
    `${head.replace('gauge', 'histogram')}a_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_count 1\n`,
  ]
  for (const text of wrong) throws(() => readExposition(text), Error, text)
  const fine = { name: 'a', type: 'gauge', help: 'a\nb\\', samples: [{ value: Infinity }] } as const
  match(expositionText([fine]), /^# HELP a a\\nb\\\\\n# TYPE a gauge\na \+Inf\n$/)
  equal(readExposition(expositionText([fine]))[0]?.series[0]?.value, Infinity)
})

test('a percentile lies in its class, and never beyond what the classes know', () => {
  const counts = Array<number>(commitBoundsUs.length + 1).fill(0)
  equal(percentileUs(counts, 0.5), null)
  counts[3] = 10
  deepEqual([percentileUs(counts, 0.5), percentileUs(counts, 1)], [750, 1_000])
  counts[commitBoundsUs.length] = 90
  equal(percentileUs(counts, 0.99), 1_000_000)
})
