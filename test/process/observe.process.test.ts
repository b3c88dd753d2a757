/**
 * A daemon seen from outside: the page's API, /metrics and the views of three machines agree, one
 * of which is dead; unauthenticated peers get nothing; what would be open to everybody is rejected.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Health, Overview, Peer } from '../../daemon/http/api-types.ts'
import { readExposition, valueOf } from '../support/exposition-grammar.ts'
import { freePort } from '../support/free-port.ts'
import type { Machine } from '../support/machine.ts'
import { PageClient } from '../support/page-client.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { until } from '../support/until.ts'

const insert = (to: { host: string; port: number }, rows: number): string => `
  INSERT INTO mqout (host, port, data)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
  SELECT '${to.host}', ${to.port}, 'row ' || i FROM n;`

type PeerView = {
  readonly waiting: number
  readonly watermark: number
  readonly rtt_ms: number | null
  readonly packets: number
  readonly lost: number
}

const viewOf = async (machine: Machine, port: number): Promise<PeerView | undefined> => {
  const select = `SELECT waiting, watermark, rtt_ms, packets, lost FROM mqpeers
    WHERE direction = 'out' AND port = ${port}`
  return (await machine.rows<PeerView>(select)).at(0)
}

test('page, metrics and views agree on three machines, one of them dead', async (context) => {
  const scene = new TestEnvironment(context)
  const [a, b, c] = [await scene.running('a'), await scene.running('b'), await scene.machine('c')]
  await scene.silence(c)
  const relay = await scene.relayTo(b, {
    seed: 7,
    lossShare: 0.1,
    duplicateShare: 0,
    delayMs: 2,
    jitterMs: 0,
    datagramBytesMax: 65_507,
  })
  const client = new PageClient(a.port, a)
  equal((await client.ask('/readyz')).text, 'ok\n')

  // Under load: the rate that is reported is the rate at which the other end receives.
  const overviews: Overview[] = []
  const listening = await client.listen((overview) => overviews.push(overview))
  await a.sql(insert(relay, 60_000))
  await a.sql(insert(c, 300))
  const peerOf = (overview: Overview, port: number): Peer | undefined =>
    overview.peers.find((peer) => peer.port === port && peer.direction === 'out')
  await until({ what: 'a rate to be reported', withinMs: 20_000 }, () =>
    overviews.some((overview) => (peerOf(overview, relay.port)?.rowsPerS ?? 0) > 100),
  )
  await b.shows('SELECT count(*) FROM mqin;', /^60000$/, 90_000)
  const rates = overviews.map(({ rates: reported }) => reported.sentPerS)
  ok(Math.max(...rates) > 100 && Math.max(...rates) < 200_000, rates.join(' '))
  listening.end()

  // At rest: the same figures everywhere.
  const atRest = async (): Promise<boolean> => {
    const view = await viewOf(a, relay.port)
    return view?.watermark === 60_000 && view.waiting === 0 && view.lost > 0
  }
  await until({ what: 'the lane to rest', withinMs: 20_000 }, atRest)
  // The counters are those of the moment, the tables are looked at once a second.
  let overview = await client.json<Overview>('/api/overview')
  await until({ what: 'the page to tell of all rows', withinMs: 20_000 }, async () => {
    overview = await client.json<Overview>('/api/overview')
    const { totals } = overview
    return totals.sent === 60_000 && peerOf(overview, relay.port)?.waiting?.value === 0
  })
  const families = readExposition(await client.metrics())
  for (const [port, rows] of [
    [relay.port, 0],
    [c.port, 300],
  ] as const) {
    const [peer, view] = [peerOf(overview, port), await viewOf(a, port)]
    const labels = { host: '127.0.0.1', port: String(port) }
    const reported = (name: string): number | undefined => valueOf(families, name, labels)
    deepEqual(
      [peer?.waiting, view?.waiting, reported('tinymq_peer_outbox_rows')],
      [{ value: rows, isExact: true }, rows, rows],
    )
    deepEqual(
      [peer?.watermark, peer?.packets, peer?.lost],
      [view?.watermark, view?.packets, view?.lost],
    )
    equal(reported('tinymq_peer_lost_packets_total'), view?.lost)
    deepEqual(peer?.rttMs, view?.rtt_ms)
    if (view?.rtt_ms !== null)
      equal(reported('tinymq_peer_rtt_seconds'), (view?.rtt_ms ?? 0) / 1_000)
    equal(reported('tinymq_peer_up'), rows === 0 ? 1 : 0)
  }
  const [oldest] = await a.rows<{ age: number }>('SELECT max(age_s) AS age FROM mqstatus')
  const ages = [
    (overview.outbox.oldestAgeMs ?? 0) / 1_000,
    (peerOf(overview, c.port)?.oldestAgeMs ?? 0) / 1_000,
    valueOf(families, 'tinymq_outbox_oldest_age_seconds') ?? 0,
  ]
  for (const age of ages) ok(Math.abs(age - (oldest?.age ?? 0)) < 5, `${age} ${oldest?.age}`)
  equal(valueOf(families, 'tinymq_delivered_messages_total'), 60_000)
  equal(overview.peers[0]?.port, c.port)

  // The dead one is named, with what to do, in all three.
  const stuck = await a.rows<{ n: number; advice: string }>(
    `SELECT count(*) AS n, advice FROM mqstuck WHERE port = ${c.port} GROUP BY advice`,
  )
  deepEqual([stuck.length, stuck[0]?.n], [1, 300])
  match(stuck[0]?.advice ?? '', /start tinymq there/)
  const { findings } = await client.json<Health>('/api/health')
  ok(findings.some(({ code, level }) => code === 'TINYMQ_NO_ANSWER' && level === 'warn'))
  const received = readExposition(await new PageClient(b.port).metrics())
  equal(valueOf(received, 'tinymq_received_messages_total'), 60_000)
})

test('a foreign page in a browser gets nothing from a daemon', async (context) => {
  const scene = new TestEnvironment(context)
  const password = join(scene.directory, 'password')
  writeFileSync(password, 'correct horse battery\n', { mode: 0o600 })
  const machine = await scene.machine('a')
  await machine.start('--http-password-file', password)
  const client = new PageClient(machine.port, machine)
  const auth = `Basic ${Buffer.from('x:correct horse battery').toString('base64')}`
  equal((await client.ask('/api/overview', { headers: { authorization: auth } })).status, 200)
  const refused: Record<string, string>[] = [
    { host: 'evil.example' },
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
  ]
  for (const headers of refused) {
    const answer = await client.ask('/api/overview', {
      headers: { authorization: auth, ...headers },
    })
    equal(answer.status, 403)
    ok(!answer.text.includes('"node"'))
  }
  for (const path of ['/', '/api/overview', '/api/events', '/metrics', '/api/outbox']) {
    equal((await client.ask(path)).status, 401)
    const headers = { authorization: `Basic ${Buffer.from('x:wrong').toString('base64')}` }
    if (path === '/') equal((await client.ask(path, { headers })).status, 401)
  }
  equal((await client.ask('/healthz')).status, 200)
  const large = { authorization: auth, 'x-large': 'x'.repeat(20_000) }
  equal((await client.ask('/api/overview', { headers: large })).status, 431)
  ok(!JSON.stringify(machine.daemon.records).includes('horse'))
})

test('HTTP that everybody could reach is rejected without a password', async (context) => {
  const scene = new TestEnvironment(context)
  const machine = await scene.machine('a', { mayEndWith: 64 })
  const daemon = machine.launch('--http', `0.0.0.0:${machine.port}`)
  await until({ what: 'the daemon to reject', withinMs: 20_000 }, () => daemon.hasEnded)
  match(
    daemon.complaints.join(' '),
    /would be open to everybody who reaches it: give it a password/,
  )
  match(daemon.complaints.join(' '), /\(TINYMQ_HTTP_PASSWORD_REQUIRED\)$/)
  const password = join(scene.directory, 'password')
  for (const [text, mode, problem] of [
    ['short', 0o600, /at least 12 characters/],
    ['long enough for it', 0o644, /everybody may read it/],
  ] as const) {
    mkdirSync(join(scene.directory, String(mode)))
    const file = join(scene.directory, String(mode), 'password')
    writeFileSync(file, text, { mode })
    const other = await scene.machine(`p${mode}`, { mayEndWith: 67 })
    const refusing = other.launch('--http-password-file', file)
    await until({ what: 'the daemon to reject', withinMs: 20_000 }, () => refusing.hasEnded)
    match(refusing.complaints.join(' '), problem)
  }
  writeFileSync(password, 'long enough for it', { mode: 0o600 })
  const open = await scene.machine('b')
  await open.start('--http', `0.0.0.0:${open.port}`, '--http-password-file', password)
  equal((await new PageClient(open.port).ask('/metrics')).status, 401)
})

test('a port that is taken ends the daemon only when it was asked for', async (context) => {
  const scene = new TestEnvironment(context)
  const taken = createServer()
  const port = await freePort()
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve))
  context.after(() => taken.close())
  const goesOn = await scene.running('a', { port })
  match(
    (await goesOn.logs('http-off')).message,
    /another program has it\): choose another with --http/,
  )
  const machine = await scene.machine('b', { mayEndWith: 69 })
  const daemon = machine.launch('--http', String(port))
  await until({ what: 'the daemon to reject', withinMs: 20_000 }, () => daemon.hasEnded)
  match(daemon.complaints.join(' '), /\(TINYMQ_HTTP_PORT_IN_USE\)$/)
})
