import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Health, InboxMessage, OutboxMessage, OutboxRow, Overview, Rows } from './api-types.ts'
import { AppBench } from '../../test/support/app-fixture.ts'

const nobody = { host: '127.0.0.1:9000' }

test('every answer carries the headers that keep foreign pages away from it', async (context) => {
  const bench = new AppBench(context)
  for (const path of ['/', '/api/overview', '/metrics', '/healthz', '/nothing', '/api/outbox/x']) {
    const { headers } = await bench.ask(path)
    match(headers.get('content-security-policy') ?? '', /^default-src 'none'; script-src 'self';/)
    ok(!/unsafe|\*/.test(headers.get('content-security-policy') ?? ''), path)
    equal(headers.get('x-content-type-options'), 'nosniff')
    equal(headers.get('x-frame-options'), 'DENY')
    equal(headers.get('cross-origin-resource-policy'), 'same-origin')
    equal(headers.get('access-control-allow-origin'), null)
    equal(headers.get('cache-control'), 'no-store')
  }
})

test('a name that was bound again, or another origin, gets nothing', async (context) => {
  const bench = new AppBench(context, { names: ['ops.example'] })
  const own = { host: '127.0.0.1:9000', origin: 'http://127.0.0.1:9000' }
  const taken: Record<string, string>[] = [
    {},
    { host: 'localhost:9000' },
    { host: '[::1]:9000' },
    { host: '192.168.1.5' },
    { host: 'OPS.example:9000' },
    { host: 'ops.example.' },
    { ...own, 'sec-fetch-site': 'same-origin' },
    { host: '127.0.0.1:9000', origin: 'https://ops.example', 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ]
  for (const headers of taken) {
    equal((await bench.ask('/api/overview', { headers })).status, 200, JSON.stringify(headers))
  }
  const refused: Record<string, string>[] = [
    { host: 'evil.example' },
    { host: 'evil.example:9000' },
    { host: '127.0.0.1.evil.example' },
    { host: 'localhost.evil.example' },
    { host: '127.0.0.1:9000@evil.example' },
    { host: '' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:8000' },
    { origin: 'http://127.0.0.1:9000.evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ]
  for (const headers of refused) {
    const answer = await bench.ask('/api/overview', { headers })
    equal(answer.status, 403, JSON.stringify(headers))
    match(await answer.text(), /^\{"error":\{"code":"HTTP_(?:HOST|ORIGIN)"/)
    equal((await bench.ask('/metrics', { headers })).status, 403)
  }
  // A link that somebody has followed shows the page; in a frame, or as an image, it does not.
  const visit = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  const asDocument = { ...visit, 'sec-fetch-dest': 'document' }
  equal((await bench.ask('/', { headers: asDocument })).status, 503)
  equal((await bench.ask('/', { headers: { ...visit, 'sec-fetch-dest': 'iframe' } })).status, 403)
})

test('a password is asked for, wrong ones are slowed and said once', async (context) => {
  const bench = new AppBench(context, { password: 'a long password' })
  const basic = (text: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from(text).toString('base64')}`,
  })
  const without = await bench.ask('/api/overview')
  deepEqual([without.status, bench.lines.length], [401, 0])
  match(without.headers.get('www-authenticate') ?? '', /^Basic realm=/)
  equal((await bench.ask('/metrics')).status, 401)
  equal((await bench.ask('/')).status, 401)
  equal((await bench.ask('/api/overview', { headers: basic('x:a long password') })).status, 200)
  equal((await bench.ask('/api/overview', { headers: basic(':a long password') })).status, 200)
  const wrong = ['x:a long passwor', 'x:a long password ', 'a long password', 'a long password:']
  const startMs = performance.now()
  const statusOf = async (text: string): Promise<number> =>
    (await bench.ask('/api/overview', { headers: basic(text) })).status
  // One is compared at once, four wait; what comes beyond is not compared, right or wrong.
  const guesses = [...wrong, '', 'x:a long password', ...wrong].map(statusOf)
  deepEqual(await Promise.all(guesses.slice(5)), [429, 429, 429, 429, 429])
  ok(performance.now() - startMs < 200)
  deepEqual(await Promise.all(guesses.slice(0, 5)), [401, 401, 401, 401, 401])
  ok(performance.now() - startMs >= 240)
  // The delay comes before the comparison, for the right one too; with it, the address is free.
  const rightMs = performance.now()
  equal(await statusOf('x:a long password'), 200)
  ok(performance.now() - rightMs >= 3_900)
  const nextMs = performance.now()
  equal(await statusOf('x:a long password'), 200)
  ok(performance.now() - nextMs < 200)
  deepEqual(
    bench.lines.map(({ event }) => event),
    ['http-password'],
  )
  const metrics = await bench.ask('/metrics', { headers: basic('prometheus:a long password') })
  match(await metrics.text(), /tinymq_http_requests_rejected_total\{reason="HTTP_PASSWORD"\} 5/)
  match(
    await (await bench.ask('/metrics', { headers: basic('a:a long password') })).text(),
    /HTTP_GUESSES"\} 5/,
  )
  // Signs of life are for whoever keeps the daemon alive, and tell nothing else.
  equal(await (await bench.ask('/healthz', { headers: { host: 'x' } })).text(), 'ok\n')
})

test('readyz says why peers are not served', async (context) => {
  const bench = new AppBench(context)
  equal((await bench.ask('/readyz')).status, 200)
  bench.readiness = { isReady: false, sentence: 'it is stopping' }
  const answer = await bench.ask('/readyz')
  deepEqual([answer.status, await answer.text()], [503, 'not ready: it is stopping\n'])
})

test('actions are for the page alone, and only when they are on', async (context) => {
  const [off, on] = [new AppBench(context), new AppBench(context, { canAct: true })]
  const path = '/api/outbox/1/cancel'
  const marked = { 'x-tinymq': '1', 'sec-fetch-site': 'same-origin' }
  on.db.exec("INSERT INTO mqout (host, data) VALUES ('b', 'x')")
  const status = async (bench: AppBench, headers: Record<string, string>): Promise<number> =>
    (await bench.ask(path, { method: 'POST', headers })).status
  equal(await status(off, marked), 403)
  equal(await status(on, {}), 403)
  equal(await status(on, { 'x-tinymq': '1', 'sec-fetch-site': 'cross-site' }), 403)
  equal(await status(on, { 'x-tinymq': '1', origin: 'http://evil.example' }), 403)
  equal(await status(on, { ...marked, 'content-length': '2000' }), 413)
  equal((await on.ask(path, { headers: marked })).status, 404)
  equal((await on.ask('/', { method: 'POST', headers: marked })).status, 405)
  equal((await on.ask('/api/overview', { method: 'PUT', headers: marked })).status, 405)
  equal(on.db.prepare('SELECT count(*) FROM mqout').pluck().get(), 1)
  equal(await status(on, marked), 200)
  equal(on.db.prepare('SELECT count(*) FROM mqout').pluck().get(), 0)
  equal(await status(on, marked), 404)
  deepEqual(
    on.lines.map(({ event, fields }) => [event, fields?.['action']]),
    [['http-action', 'cancel']],
  )
})

test('a parked row is freed, a dead letter comes back', async (context) => {
  const bench = new AppBench(context, { canAct: true })
  bench.db.exec(`
    INSERT INTO mqout (host, data) VALUES ('b', 'x'), ('c', 'y');
    INSERT INTO mqlane (host, port, state) VALUES ('c', 9000, 'waiting');
    INSERT INTO mqparked (id, uid, code) SELECT id, uid, 'TINYMQ_REFUSED' FROM mqout WHERE id = 1;
    INSERT INTO mqdead (id, host, port, token, arrived_at, error, data)
      VALUES (5, 'd', 9000, 't', 1, 'boom', x'00ff');`)
  const post = async (path: string): Promise<string> => {
    const headers = { 'x-tinymq': '1', 'sec-fetch-site': 'same-origin' }
    const answer = await bench.ask(path, { method: 'POST', headers })
    return `${answer.status} ${await answer.text()}`
  }
  match(await post('/api/outbox/1/retry'), /^200 .*Row 1 is tried again now/)
  equal(bench.db.prepare('SELECT count(*) FROM mqparked').pluck().get(), 0)
  match(await post('/api/outbox/2/retry'), /^200 .*peer of row 2/)
  equal(bench.db.prepare('SELECT requested FROM mqlane').pluck().get(), 'retry')
  match(await post('/api/outbox/3/retry'), /^404 /)
  match(await post('/api/inbox/5/redrive'), /^200 .*again, as row 1/)
  deepEqual(bench.db.prepare('SELECT data FROM mqin').pluck().get(), Buffer.from([0, 255]))
  match(await post('/api/inbox/5/redrive'), /^404 /)
  match(await post('/api/inbox/5/eat'), /^404 /)
})

test('what is not in the contract is rejected, and no stack is shown', async (context) => {
  const bench = new AppBench(context)
  const wrong = [
    '/api/outbox?limit=0',
    '/api/outbox?limit=201',
    '/api/outbox?state=none',
    '/api/outbox?by=data',
    '/api/outbox?before=-1',
    '/api/outbox?nope=1',
    `/api/outbox?search=${'x'.repeat(257)}`,
    '/api/inbox?dead=2',
    '/api/history?minutes=0',
    '/api/history?minutes=1441',
    '/api/outbox/0',
    '/api/outbox/1e3',
    '/api/outbox/99999999999999999999',
    "/api/inbox/1';--",
  ]
  for (const path of wrong) {
    const answer = await bench.ask(path)
    equal(answer.status, 400, path)
    match(await answer.text(), /"code":"TINYMQ_INVALID_ARGUMENT","message":"[^"]+\."/)
  }
  for (const path of [
    '/api/nothing',
    '/../package.json',
    '/%2e%2e/package.json',
    '/api/outbox/7',
  ]) {
    equal((await bench.ask(path)).status, 404, path)
  }
})

test('the overview shows what is in the tables and what was counted', async (context) => {
  const bench = new AppBench(context)
  const now = Date.now()
  bench.db.exec(`
    INSERT INTO mqout (host, created_at, data) VALUES
      ('b', ${now - 9_000}, ''), ('b', ${now}, ''), ('c', ${now}, '');
    INSERT INTO mqlane (id, host, port, state, error_code, error, confirmed, rtt_us, packets, lost)
      VALUES (1, 'b', 9000, 'waiting', 'TINYMQ_NO_ANSWER', 'no answer', 0, NULL, 0, 0),
        (2, 'c', 9000, 'open', NULL, NULL, 41, 1500, 40, 10);
    INSERT INTO mqbatch (lane, first, count, id_first, id_last, uids)
      SELECT 2, 42, 1, id, id, uid FROM mqout WHERE host = 'c';
    INSERT INTO mqsender (database_id, stream, watermark, host, port, seen_at)
      VALUES (zeroblob(16), zeroblob(16), 5, 'd', 9001, ${now});
    INSERT INTO mqevent (at, code, host, detail) VALUES (1, 'PEER_REPLACED', 'b', 'it is new');
    INSERT INTO mqin (host, arrived_at, data) VALUES ('d', ${now - 5_000}, '');
    INSERT INTO mqdead (id, error, data) VALUES (1, 'x', '');`)
  bench.counters.done.delivered = 41
  const overview = await bench.json<Overview>('/api/overview')
  const exactly = (value: number) => ({ value, isExact: true })
  deepEqual(
    [overview.outbox.waiting, overview.outbox.inFlight, overview.outbox.parked],
    [exactly(3), exactly(1), exactly(0)],
  )
  deepEqual([overview.inbox.rows, overview.inbox.dead], [exactly(1), exactly(1)])
  ok(Math.abs((overview.outbox.oldestAgeMs ?? 0) - 9_000) < 5_000)
  deepEqual([overview.totals.sent, overview.peerCount, overview.health], [41, 3, 'warn'])
  const [worst, good] = overview.peers
  deepEqual(
    [worst?.host, worst?.errorCode, worst?.waiting, worst?.lastEvent?.code],
    ['b', 'TINYMQ_NO_ANSWER', exactly(2), 'PEER_REPLACED'],
  )
  deepEqual([good?.host, good?.rttMs, good?.lossShare, good?.waiting], ['c', 1.5, 0.25, exactly(1)])
  deepEqual(
    overview.peers.map(({ direction }) => direction),
    ['out', 'out', 'in'],
  )
  const health = await bench.json<Health>('/api/health')
  ok(health.findings.some(({ code, hint }) => code === 'TINYMQ_NO_ANSWER' && hint !== ''))
})

test('rows are found by what they are, page by page, the newest first', async (context) => {
  const bench = new AppBench(context)
  bench.db.exec(`
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO mqout (host, port, token, data)
      SELECT 'h' || (i % 10), 9000 + i % 2, 't' || (i % 100), 'message ' || i || ' 100 %' FROM n;
    INSERT INTO mqparked (id, uid, code) SELECT id, uid, 'X' FROM mqout WHERE id = 7;`)
  const find = async (query: string): Promise<readonly number[]> => {
    const ids: number[] = []
    let before = ''
    for (;;) {
      const page = await bench.json<Rows<OutboxRow>>(`/api/outbox?limit=200&${query}${before}`)
      ids.push(...page.rows.map(({ id }) => id))
      if (page.next === null) return ids
      before = `&before=${page.next}`
    }
  }
  const all = await find('')
  deepEqual([all.length, all[0], all.at(-1)], [5_000, 5_000, 1])
  equal((await find('by=host&search=h3')).length, 500)
  equal((await find('by=host&search=h3:9001')).length, 500)
  equal((await find('by=host&search=h3:9000')).length, 0)
  equal((await find('by=token&search=t42')).length, 50)
  deepEqual(await find('by=id&search=42'), [42])
  deepEqual(await find('by=text&search=message%20137%20'), [137])
  deepEqual(await find(`by=text&search=${encodeURIComponent("' OR 1=1 --")}`), [])
  deepEqual(await find('state=parked'), [7])
  equal((await find('state=in-flight')).length, 0)
  ok((await find('search=42')).includes(42))
})

test('one message is reported with its beginning and its life', async (context) => {
  const bench = new AppBench(context)
  bench.db.exec(`
    INSERT INTO mqout (host, headers, data) VALUES
      ('b', '{"a":1}', '${'é'.repeat(5_000)}'), ('b', NULL, x'00ff10');
    INSERT INTO mqin (id, host, port, token, sent_at, arrived_at, sender_row, data)
      VALUES (1, 'd', 9000, 't', 1, 2, 77, 'hello');
    INSERT INTO mqlease (id, owner, until, attempts, error) VALUES (1, NULL, 3, 2, 'boom');`)
  const text = await bench.json<OutboxMessage>('/api/outbox/1')
  deepEqual(
    [text.headers, text.preview.type, text.preview.bytes, text.preview.isWhole],
    ['{"a":1}', 'text', 10_000, false],
  )
  equal(text.preview.text, 'é'.repeat(2_048))
  const now = 'Now waiting: no daemon has looked at it yet; is one running on this database?'
  equal(text.story.at(-1)?.what, now)
  const bytes = await bench.json<OutboxMessage>('/api/outbox/2')
  deepEqual(bytes.preview, { type: 'hex', text: '00ff10', bytes: 3, isWhole: true })
  const arrived = await bench.json<InboxMessage>('/api/inbox/1')
  deepEqual([arrived.row.state, arrived.row.attempts, arrived.row.error], ['ready', 2, 'boom'])
  deepEqual(
    arrived.story.map(({ at }) => at),
    [1, 2, null, 3],
  )
  match(arrived.story[0]?.what ?? '', /d:9000 as row 77/)
})

test('listeners get an overview a second, and too many get none', async (context) => {
  const bench = new AppBench(context)
  const answer = await bench.ask('/api/events')
  equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const reader = answer.body?.getReader()
  let reported = ''
  while ((reported.match(/^event: overview$/gm)?.length ?? 0) < 2) {
    const part = (await reader?.read()) as { value?: Uint8Array; done: boolean }
    ok(!part.done)
    reported += Buffer.from(part.value ?? []).toString('utf8')
  }
  match(reported, /^retry: 2000\n\nevent: overview\ndata: \{"at":/)
  const more = await Promise.all(Array.from({ length: 32 }, async () => bench.ask('/api/events')))
  equal(more.filter(({ status }) => status === 503).length, 1)
  await Promise.all([reader?.cancel(), ...more.map(async ({ body }) => body?.cancel())])
  equal((await bench.ask('/api/events')).status, 200)
})

test('the files of the page are served by name, and nothing else is', async (context) => {
  const folder = pageAt(context)
  const bench = new AppBench(context, { page: folder })
  const index = await bench.ask('/')
  deepEqual([index.status, await index.text()], [200, '<!doctype html>'])
  equal(index.headers.get('cache-control'), 'private, no-cache')
  const etag = index.headers.get('etag') ?? ''
  equal((await bench.ask('/', { headers: { 'if-none-match': etag } })).status, 304)
  const script = await bench.ask('/assets/a-1.js')
  equal(script.headers.get('cache-control'), 'private, max-age=31536000, immutable')
  equal(script.headers.get('content-type'), 'text/javascript; charset=utf-8')
  for (const path of ['/secret.db', '/assets', '/assets/../../secret.db', '/..%2fsecret.db']) {
    equal((await bench.ask(path, { headers: nobody })).status, 404, path)
  }
  const without = new AppBench(context)
  match(await (await without.ask('/')).text(), /npm run build/)
})

function pageAt(context: TestContext): string {
  const destination = new AppBench(context).db.name
  const folder = join(dirname(destination), 'page')
  mkdirSync(join(folder, 'assets'), { recursive: true })
  writeFileSync(join(folder, 'index.html'), '<!doctype html>')
  writeFileSync(join(folder, 'assets', 'a-1.js'), 'export {}')
  writeFileSync(join(dirname(destination), 'secret.db'), 'secret')
  return folder
}

test('without a password, only who has the token gets rows', async (context) => {
  const bench = new AppBench(context, { token: 'ab12', canAct: true })
  bench.db.exec("INSERT INTO mqout (host, data) VALUES ('b', 'x')")
  const paths = ['overview', 'peers', 'health', 'history', 'outbox', 'inbox', 'outbox/1', 'events']
  const refused: Record<string, string>[] = [
    {},
    { authorization: 'Bearer ab13' },
    { authorization: 'Bearer ' },
    { authorization: 'ab12' },
    { authorization: `Basic ${Buffer.from('x:ab12').toString('base64')}` },
    { cookie: 'token=ab12' },
  ]
  for (const path of paths) {
    for (const headers of refused) {
      const answer = await bench.ask(`/api/${path}`, { headers })
      deepEqual([path, answer.status], [path, 401])
      const { error } = (await answer.json()) as { error: { code: string; hint: string } }
      equal(error.code, 'HTTP_TOKEN')
      match(error.hint, /curl -H @\/var\/db-page-token/)
    }
    const headers = { authorization: 'Bearer ab12' }
    equal((await bench.ask(`/api/${path}`, { headers })).status, 200, path)
  }
  equal((await bench.ask('/api/events?token=ab12')).status, 200)
  equal((await bench.ask('/api/outbox?token=ab12')).status, 401)
  const act = { method: 'POST', headers: { 'x-tinymq': '1' } }
  equal((await bench.ask('/api/outbox/1/cancel', act)).status, 401)
  const open = ['/healthz', '/readyz', '/metrics']
  for (const path of open) equal((await bench.ask(path)).status, 200, path)
  match(await (await bench.ask('/metrics')).text(), /HTTP_TOKEN"\} 50/)
})
