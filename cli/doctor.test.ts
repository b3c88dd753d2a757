import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import Database from 'better-sqlite3'
import { open } from '../sdk/index.ts'
import { startDaemon } from '../daemon/daemon.ts'
import { runLine } from '../test/support/command-run.ts'
import { writeHealth } from '../daemon/platform/files/health-file.ts'
import type { Finding } from '../daemon/diagnostics/finding.ts'
import { pathFindings } from '../daemon/diagnostics/host-checks.ts'

// It goes after the tests: a daemon whose files go first writes a copy of them.
const scratch = mkdtempSync(join(tmpdir(), 'tinymq-doctor-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

function directory(): string {
  return mkdtempSync(join(scratch, 'test-'))
}

/** A database with the tables, and what `sql` puts into them. */
function databaseWith(sql = ''): string {
  const path = join(directory(), 'db')
  open(path).close()
  const db = new Database(path)
  db.exec(sql)
  db.close()
  return path
}

type Visit = { readonly code: number; readonly findings: readonly Finding[]; readonly err: string }

async function visit(...args: readonly string[]): Promise<Visit> {
  const { code, out, said: err } = await runLine(['doctor', ...args, '--json'])
  const lines = out.split('\n').filter((line) => line.startsWith('{'))
  return { code, err, findings: lines.map((line) => JSON.parse(line) as Finding) }
}

/** What is reported about something, with what to do; fails when nothing is. */
function saidOf(findings: readonly Finding[], about: string): string {
  const found = findings.find((finding) => finding.about === about && finding.level !== 'ok')
  ok(found !== undefined, `${about}: ${JSON.stringify(findings)}`)
  ok(found.fix !== '', `${about} has no fix`)
  return `${found.level} ${found.sentence} ${found.fix}`
}

const laneTo = (host: string, port: number): string =>
  `INSERT INTO mqlane (host, port) VALUES ('${host}', ${port});
  INSERT INTO mqout (host, port, data) VALUES ('${host}', ${port}, 'x');`

async function takenPort(context: TestContext): Promise<number> {
  const socket = createSocket('udp4')
  context.after(() => socket.close())
  socket.bind(0)
  await once(socket, 'listening')
  return socket.address().port
}

test('there is no error while a daemon runs and another answers where rows go', async (context) => {
  const [place, there] = [directory(), directory()]
  const peer = await startDaemon({ database: join(there, 'db'), port: 0, bind: '127.0.0.1' })
  context.after(async () => peer.stop())
  const database = databaseWith(laneTo('127.0.0.1', peer.address.port))
  const daemon = await startDaemon({ database, port: 0 })
  context.after(async () => daemon.stop())
  const { code, findings } = await visit(database)
  equal(code, 0, JSON.stringify(findings))
  const fine = findings.filter(({ level }) => level === 'ok').map(({ about }) => about)
  // Where the tests run in a container, the place of the database is a warning.
  for (const about of ['disk', 'database', 'durability', 'clock', 'daemon']) {
    ok(fine.includes(about), about)
  }
  ok(fine.some((about) => about === `peer 127.0.0.1:${peer.address.port}`))
  ok(place !== '')
})

test('a fault that the daemon can bear is a warning, with its code and remedy', async (context) => {
  const database = databaseWith()
  const daemon = await startDaemon({ database, port: 0 })
  context.after(async () => daemon.stop())
  const [code, hint] = ['TINYMQ_SCRATCH_FULL', 'free space there'] as const
  const sentence = 'mqout_lane cannot be built'
  writeHealth(database, { code, level: 'warn', sentence, hint, sinceMs: 1 })
  const seen = await visit(database)
  equal(seen.code, 0)
  match(
    saidOf(seen.findings, 'daemon'),
    /^warn .*cannot be built.*SCRATCH_FULL.* free space there$/,
  )
})

test('a directory that is missing, and a directory where the file should be', async () => {
  const place = directory()
  const missing = await visit(join(place, 'none', 'db'))
  equal(missing.code, 1)
  match(saidOf(missing.findings, 'directory'), /error There is no directory .*create it or choose/)
  mkdirSync(join(place, 'db'))
  match(saidOf((await visit(join(place, 'db'))).findings, 'directory'), /A directory is there/)
})

test('a file that is mounted alone, and a place that dies with the container', () => {
  const path = databaseWith()
  const mounted = { mounts: [{ root: '/x', point: path, type: 'ext4' }], isContainer: true }
  match(saidOf(pathFindings(path, mounted), 'directory'), /Only the file .* is mounted.*--volume/)
  const root = { mounts: [{ root: '/', point: '/', type: 'overlay' }], isContainer: true }
  match(saidOf(pathFindings(path, root), 'directory'), /warn .*deleted with the container/)
})

test('no database, no tables, not a database, damaged, newer', async () => {
  const place = directory()
  const of = async (path: string): Promise<string> =>
    saidOf((await visit(path)).findings, 'database')
  match(await of(join(place, 'none')), /There is no file .*tinymq 9000/)
  new Database(join(place, 'empty')).exec('CREATE TABLE theirs (a)').close()
  match(await of(join(place, 'empty')), /no tables of tinymq.*Start the daemon/)
  writeFileSync(join(place, 'text'), 'a text that is longer than a header\n'.repeat(9))
  match(await of(join(place, 'text')), /TINYMQ_NOT_A_DATABASE/)
  const blob = 'CREATE TABLE z (a); INSERT INTO z VALUES (zeroblob(99999))'
  const damaged = databaseWith(blob)
  truncateSync(damaged, 90_000)
  match(await of(damaged), /(?:damage|CORRUPT).*backup/i)
  const newer = "UPDATE mqmeta SET value = 99 WHERE key = 'schema_version'"
  match(await of(databaseWith(newer)), /TINYMQ_SCHEMA_NEWER.*Update tinymq/)
})

test('no daemon, and its port taken by another program', async (context) => {
  const port = await takenPort(context)
  const { code, findings } = await visit(databaseWith(), '--port', String(port))
  equal(code, 1)
  match(saidOf(findings, 'daemon'), /No daemon has .*start the daemon/)
  match(saidOf(findings, 'port'), /cannot be had \(EADDRINUSE\).*ss -lunp/)
})

test('a name that nobody knows, and a host that does not answer', async (context) => {
  const port = await takenPort(context)
  const sql = laneTo('nobody.invalid', 9000) + laneTo('127.0.0.1', port)
  const { findings } = await visit(databaseWith(sql))
  match(saidOf(findings, 'peer nobody.invalid:9000'), /not known.*1 row waits.*UPDATE mqout/)
  match(
    saidOf(findings, `peer 127.0.0.1:${port}`),
    /No answer from 127\.0\.0\.1; 1 row .*ufw allow/,
  )
})

test('a peer that answers, and whose rows wait all the same', async (context) => {
  const peer = await startDaemon({ database: join(directory(), 'db'), port: 0 })
  context.after(async () => peer.stop())
  const { port } = peer.address
  const sql = `${laneTo('127.0.0.1', port)}
    UPDATE mqlane SET key = 'orders', error_code = 'TINYMQ_NO_KEY', error = 'no key orders';`
  const { findings } = await visit(databaseWith(sql))
  match(
    saidOf(findings, `peer 127.0.0.1:${port}`),
    /answers now, but .*: no key orders \(TINYMQ_NO_KEY\); 1 row waits\. add .*; then tinymq retry/,
  )
})

test('what this machine does not send is its own fault', async () => {
  const { findings } = await visit(databaseWith(laneTo('255.255.255.255', 9000)))
  match(
    saidOf(findings, 'peer 255.255.255.255:9000'),
    /sends nothing there \((?:EACCES|ENETUNREACH)\); 1 row/,
  )
})

test('what an unauthenticated peer wrote leaves neither its line nor its quotes', async () => {
  const host = "x';DROP_TABLE_mqout;--"
  const reason = "char(27) || '[2J' || char(10)"
  const sql = `INSERT INTO mqparked (id, code, reason) VALUES (1, 'X', ${reason});
    INSERT INTO mqlane (host, port) VALUES ('${host.replaceAll("'", "''")}', 9000);`
  const { out } = await runLine(['doctor', databaseWith(sql)])
  match(out, /the first because X: \\u001b\[2J\\n\./)
  match(out, /WHERE host = 'x'';DROP_TABLE_mqout;--';/)
})

test('a clock that is behind, parked and dead rows, events', async () => {
  const now = Date.now()
  const { code, findings } = await visit(
    databaseWith(
      `INSERT INTO mqin (arrived_at, data) VALUES (${now + 3_600_000}, 'x');
      INSERT INTO mqparked (id, code, reason) VALUES (1, 'TINYMQ_REFUSED', 'too large');
      INSERT INTO mqdead (id, data) VALUES (1, 'x'), (2, 'x');
      INSERT INTO mqevent (at, code) VALUES (${now}, 'PEER_ROLLED_BACK'),
        (${now}, 'PEER_ROLLED_BACK'),
        (${now - 8 * 86_400_000}, 'SELF_FORKED');`,
    ),
  )
  match(saidOf(findings, 'clock'), /warn .*a row is of .*Set the clock/)
  match(saidOf(findings, 'outbox'), /Parked: 1 row; .*TINYMQ_REFUSED: too large.*retry --all/)
  match(saidOf(findings, 'inbox'), /Could not be processed: 2\. .*dead list/)
  match(saidOf(findings, 'events'), /PEER_ROLLED_BACK 2 times.*SELECT \* FROM mqevent/)
  deepEqual(
    findings.filter(({ sentence }) => sentence.includes('SELF_FORKED')),
    [],
  )
  // No daemon runs: that alone is bad.
  equal(code, 1)
})

test('a handler that has not returned for an hour is found, one that works is not', async () => {
  const now = Date.now()
  const hour = 3_600_000
  const of = (id: number, owner: string, until: number, since: number): string =>
    `INSERT INTO mqin (id, data) VALUES (${id}, 'x');
     INSERT INTO mqlease (id, owner, until, since) VALUES (${id}, ${owner}, ${until}, ${since});`
  const fine = [
    of(1, "'works'", now + 30_000, now - 60_000),
    of(2, "'gone'", now - 30_000, now - 2 * hour),
    of(3, 'NULL', now + hour, now - 2 * hour),
  ].join('')
  const { findings } = await visit(databaseWith(fine))
  equal(
    findings.some(({ about }) => about === 'inbox'),
    false,
  )
  const bad = await visit(databaseWith(fine + of(4, "'hangs'", now + 30_000, now - 2 * hour)))
  match(
    saidOf(bad.findings, 'inbox'),
    /warn .*an hour: 1 message; .*consumer hangs since 2.*mqstuck/,
  )
})

test('wrong options are reported, and help is help', async () => {
  equal((await visit('a', 'b')).code, 64)
  equal((await visit('--port', 'x')).code, 64)
  match((await visit('--bogus')).err, /bogus/)
  equal((await visit('--help')).code, 0)
})

test('times that no calendar has do not end the visit', async () => {
  const database = databaseWith(
    `INSERT INTO mqin (arrived_at, data) VALUES (9000000000000000, 'x');
    INSERT INTO mqevent (at, code) VALUES (9000000000000000, 'SELF_FORKED');`,
  )
  const { findings } = await visit(database)
  match(saidOf(findings, 'clock'), /a row is of "9000000000000000"/)
  match(saidOf(findings, 'events'), /SELF_FORKED once, last at "9000000000000000"/)
})
