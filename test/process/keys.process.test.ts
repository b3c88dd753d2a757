/** Key rings on real daemons: who gets in, what can be seen, and what a new ring changes. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ends, keys, newKey, writeRing } from '../support/key-ring.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { until } from '../support/until.ts'

/** An INSERT of one row. */
const rowTo = ({ port }: { readonly port: number }, token: string): string =>
  `INSERT INTO mqout (host, port, token, data) VALUES ('127.0.0.1', ${port}, '${token}', 'x');`

const secretOf = (line: string): string => line.split(' = ')[1] ?? ''

test('P11: of a whole delivery under a key nothing can be read, not even its name', async (t) => {
  const scene = new TestEnvironment(t)
  const line = newKey('wine-cellar')
  const ring = writeRing(join(scene.directory, 'ring'), line)
  const [a, b] = [await scene.machine('a'), await scene.machine('b')]
  const tap = await scene.tapOf(b)
  await a.start('--keys', ring)
  await b.start('--keys', ring)
  const small = 'the vintage of the century'
  await a.sql(
    `INSERT INTO mqout (host, port, token, headers, data) VALUES
       ('127.0.0.1', ${tap.port}, 'wine-cellar', '{"grape":"nebbiolo"}', '${small}'),
       ('127.0.0.1', ${tap.port}, 'wine-cellar', NULL, '${'barolo '.repeat(100_000)}');`,
  )
  await a.sentAll(30_000)
  equal(
    await b.sql('SELECT token, headers, data FROM mqin WHERE id = 1;'),
    `wine-cellar|{"grape":"nebbiolo"}|${small}`,
  )
  equal(await b.sql('SELECT key FROM mqsender;'), 'wine-cellar')
  const { forth, back } = await tap.datagrams()
  const seen = Buffer.concat([...forth, ...back])
  ok(seen.length > 700_000 && back.length > 0, 'Everything passed here.')
  const secret = Buffer.from(secretOf(line), 'base64')
  const names = ['wine-cellar', 'vintage of the', 'nebbiolo', 'grape', 'barolo ', secret]
  for (const name of names) ok(!seen.includes(name), `${String(name)} must not be seen.`)
  for (const uid of await b.rows<{ uid: string }>('SELECT hex(uids) AS uid FROM mquidlog')) {
    ok(!seen.includes(Buffer.from(uid.uid, 'hex').subarray(0, 16)), 'No uid is seen.')
  }
})

test('P11: who has no key, or another of that name, gets nothing in and no answer', async (t) => {
  const scene = new TestEnvironment(t)
  const ring = writeRing(join(scene.directory, 'ring'), newKey('k'))
  const wrong = writeRing(join(scene.directory, 'wrong'), newKey('k'))
  const [b, without, other] = [
    await scene.machine('b'),
    await scene.machine('without'),
    await scene.machine('other'),
  ]
  await b.start('--keys', ring)
  const tap = await scene.tapOf(b)
  await without.start()
  await other.start('--keys', wrong)
  const row = rowTo(tap, 'k')
  await Promise.all([without.sql(row), other.sql(row)])
  await without.shows('SELECT reason FROM mqstatus;', /no answer from 127\.0\.0\.1/)
  await other.shows('SELECT reason FROM mqstatus;', /under the key k: .* Has it this key\?/)
  match((await b.logs('unauthenticated-peer')).message, /Ignored an unauthenticated handshake/)
  equal(await b.sql('SELECT count(*) FROM mqin;'), '0')
  const { forth, back } = await tap.datagrams()
  ok(forth.length >= 4, 'They have tried.')
  equal(back.length, 0, 'No answer.')
})

test('P8: rows whose token has no key are set aside, and go when the ring has it', async (t) => {
  const scene = new TestEnvironment(t)
  const [orders, events] = [newKey('orders'), newKey('events')]
  const [ofA, ofB] = [join(scene.directory, 'ring-a'), join(scene.directory, 'ring-b')]
  writeRing(ofA, orders)
  writeRing(ofB, orders, events)
  const [a, b] = [await scene.machine('a'), await scene.machine('b')]
  await a.start('--keys', ofA)
  await b.start('--keys', ofB)
  const row = (token: string): string => rowTo(b, token)
  await a.sql(row('events') + row('') + row('orders'))
  await b.shows('SELECT token FROM mqin;', /^orders$/)
  await a.shows(
    `SELECT group_concat(token || ' ' || state, ', ') FROM (SELECT * FROM mqstatus ORDER BY id);`,
    /^events parked,  parked$/,
  )
  match(await a.sql('SELECT reason FROM mqstatus WHERE id = 1;'), /no key called events.*NO_KEY/)
  match(await a.sql('SELECT reason FROM mqstatus WHERE id = 2;'), /the row has no token/)
  // No signal: the change of the file is enough.
  writeRing(ofA, orders, events)
  await b.shows('SELECT group_concat(token) FROM mqin;', /^orders,events$/)
  // The others may not be confirmed yet, and may not be changed then.
  await a.sql("UPDATE mqout SET token = 'orders' WHERE id = 2;")
  await b.shows('SELECT group_concat(token) FROM mqin;', /^orders,events,orders$/)
})

test('a ring that is not right: no start with it, and no change by it', async (t) => {
  const scene = new TestEnvironment(t)
  const [line, ring] = [newKey('k'), join(scene.directory, 'ring')]
  const [a, b] = [await scene.machine('a'), await scene.machine('b')]
  writeRing(ring, line, 'k = oops')
  const refused = await ends(String(a.port), a.database, '--keys', ring)
  equal(refused.code, 67)
  match(refused.stderr, /line 2: the key k is neither .*TINYMQ_INVALID_KEYS/s)
  ok(!existsSync(a.database), 'Nothing is made.')
  writeRing(ring, line)
  await a.start('--keys', ring)
  await b.start('--keys', ring)
  writeRing(ring, 'k = oops')
  a.daemon.signal('SIGHUP')
  const said = await a.logs('keys-refused')
  deepEqual([said.level, /line 1: .*stays in force/s.test(said.message)], ['error', true])
  await a.shows("SELECT detail FROM mqevent WHERE code = 'KEYS_REFUSED';", /line 1/)
  await a.sql(rowTo(b, 'k'))
  await b.shows('SELECT count(*) FROM mqin;', /^1$/)
})

test('a key is renewed under load and loss, and traffic never stops', async (t) => {
  const scene = new TestEnvironment(t)
  const [ofA, ofB] = [join(scene.directory, 'ring-a'), join(scene.directory, 'ring-b')]
  writeRing(ofB, (await keys('new', 'token', '--keys', ofA)).trim())
  const [a, b] = [await scene.machine('a'), await scene.machine('b')]
  await a.start('--keys', ofA)
  await b.start('--keys', ofB)
  const relay = await scene.relayTo(b, {
    lossShare: 0.1,
    duplicateShare: 0.02,
    delayMs: 5,
    jitterMs: 5,
    datagramBytesMax: 1_472,
    seed: 5,
  })
  const rows = scaled(40_000)
  let sent = 0
  let longestMs = 0
  const steps = { areLeft: true }
  const load = (async () => {
    while (steps.areLeft || sent < rows) {
      await a.sql(insertNumbered({ sender: 'a', to: relay, first: sent + 1, last: sent + 500 }))
      sent += 500
      const beganMs = performance.now()
      await b.shows(`SELECT count(*) >= ${sent - 2_000} FROM mqin;`, /^1$/, 30_000)
      longestMs = Math.max(longestMs, performance.now() - beganMs)
    }
  })()
  const readAgain = async (count: number): Promise<void> => {
    for (const { name, logged } of [a, b].map((machine) => ({
      name: machine.name,
      logged: () => machine.logged('keys-changed').length,
    }))) {
      await until(
        { what: `${name} to read its ring again`, withinMs: 20_000 },
        () => logged() >= count,
      )
    }
  }
  const line = await keys('rotate', 'token', '--add', '--keys', ofA)
  writeRing(ofB, readFileSync(ofB, 'utf8').trim(), line.trim())
  await readAgain(1)
  for (const [count, step] of [
    [2, '--switch'],
    [3, '--retire'],
  ] as const) {
    await keys('rotate', 'token', step, '--keys', count === 2 ? ofB : ofA)
    await keys('rotate', 'token', step, '--keys', count === 2 ? ofA : ofB)
    await readAgain(count)
  }
  steps.areLeft = false
  await load
  await a.sentAll(60_000)
  checkInbox(b.database, { a: sent })
  equal(readFileSync(ofA, 'utf8'), line)
  t.diagnostic(`${sent} messages under two keys; the longest wait was ${longestMs.toFixed(0)} ms`)
})

test('P3: both ends get a ring in the middle of a transfer: every row arrives once', async (t) => {
  const scene = new TestEnvironment(t)
  const ring = writeRing(join(scene.directory, 'ring'), newKey('token'))
  const [a, b] = [await scene.machine('a'), await scene.running('b')]
  const count = scaled(60_000)
  // So slow that there is a middle, on any machine.
  await a.start('--max-rate', '400000')
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: count }))
  await b.shows(`SELECT count(*) > ${count / 20} FROM mqin;`, /^1$/)
  await Promise.all([a.daemon.kill9(), b.daemon.kill9()])
  const before = Number(await b.sql('SELECT count(*) FROM mqin;'))
  ok(before < count, 'It was in the middle.')
  await Promise.all([a.start('--keys', ring), b.start('--keys', ring)])
  await a.sentAll(120_000)
  checkInbox(b.database, { a: count })
  equal(await b.sql("SELECT count(*) > 0 FROM mqsender WHERE key = 'token';"), '1')
  // And back: what is a label again goes without a key.
  await a.sql(insertNumbered({ sender: 'c', to: b, first: 1, last: 1_000 }))
  await Promise.all([a.daemon.kill9(), b.daemon.kill9()])
  await Promise.all([a.start(), b.start()])
  await a.sentAll(60_000)
  checkInbox(b.database, { a: count, c: 1_000 })
})

test('tokens that are listed go without a key next to those that have one', async (t) => {
  const scene = new TestEnvironment(t)
  const ring = writeRing(join(scene.directory, 'ring'), newKey('k'))
  const [a, b, plain] = [
    await scene.machine('a'),
    await scene.machine('b'),
    await scene.running('plain'),
  ]
  const args = ['--keys', ring, '--keyless-tokens', 'free,""']
  await a.start(...args)
  await b.start(...args)
  const row = (token: string): string => rowTo(b, token)
  await a.sql(row('k') + row('free') + row(''))
  await b.shows('SELECT count(*) FROM mqin;', /^3$/)
  await plain.sql(row('free') + row('k') + row('free'))
  await b.shows('SELECT count(*) FROM mqin;', /^5$/)
  await plain.shows('SELECT state, reason FROM mqstatus;', /^parked\|.*under its key only/)
  equal(
    await b.sql(
      `SELECT group_concat(DISTINCT s.key) FROM mqin AS i JOIN mqsender AS s ON s.id = i.sender
       WHERE i.token = 'k';`,
    ),
    'k',
  )
})

test('P11: no secret is in the database, the log, the arguments or the environment', async (t) => {
  const scene = new TestEnvironment(t)
  const line = newKey('k')
  const ring = writeRing(join(scene.directory, 'ring'), line)
  const [a, b] = [await scene.machine('a'), await scene.machine('b')]
  await a.start('--keys', ring, '--log-level', 'debug')
  await b.start('--keys', ring)
  await a.sql(rowTo(b, 'k'))
  await a.sentAll(10_000)
  a.daemon.signal('SIGHUP')
  await a.logs('keys-changed')
  const places = [
    readFileSync(a.database),
    readFileSync(`${a.database}-wal`),
    readFileSync(`/proc/${a.daemon.pid}/cmdline`),
    readFileSync(`/proc/${a.daemon.pid}/environ`),
    Buffer.from(JSON.stringify(a.daemon.records)),
  ]
  const secret = Buffer.from(secretOf(line), 'base64')
  for (const text of [secretOf(line).slice(0, 12), secret.subarray(0, 8), secret.toString('hex')]) {
    for (const place of places) ok(!place.includes(text))
  }
})
