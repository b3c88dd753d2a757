import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { TinymqError } from '../../sdk/schema/errors.ts'
import type { LaneStatus } from '../protocol/store-messages.ts'
import { countSql, isAnyOtherSql } from './outbox/confirmer.ts'
import { deleteOneSql, deleteRangeSql } from './outbox/row-deletion.ts'
import { Connection, WriteThrottle } from './connection.ts'
import { faultOf } from './error-classification.ts'
import { freshSql, lateSql, packedAll } from './outbox/row-reader.ts'
import {
  newRowsSql,
  nextHostByTokenSql,
  nextHostSql,
  nextPortByTokenSql,
  nextPortSql,
  nextTokenSql,
} from './outbox/destinations.ts'
import { openStore } from './store.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import {
  deliver,
  eventsOf,
  inboxOf,
  laneTo,
  linkOf,
  pairOf,
  ReaderAlone,
  show,
} from '../../test/simulator/store/pair.ts'
import { insert, lanesOf, World } from '../../test/simulator/store/world.ts'

function machineOf(t: TestContext): Machine {
  const machine = World.of(t).machine()
  t.after(() => machine.close())
  return machine
}

const versionOf = (machine: Machine): unknown =>
  machine.user.pragma('data_version', { simple: true })

// ---- scanning

test('a lane is named for new rows, and when its session is over and it has rows', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  insert(machine, 'b', 'y')
  deepEqual(lanesOf(machine), [{ lane: 1, host: 'b', port: 9000, key: '' }])
  deepEqual(lanesOf(machine), [])
  insert(machine, 'b', 'z')
  deepEqual(lanesOf(machine).length, 1)
  const reader = new ReaderAlone(machine, laneTo(machine))
  insert(machine, 'b', 'session')
  deepEqual(lanesOf(machine), [])
  reader.forget()
  deepEqual(lanesOf(machine).length, 1)
  const second = new ReaderAlone(machine, laneTo(machine))
  second.checkIdentity({})
  second.read()
  second.confirm(4)
  second.forget()
  deepEqual(lanesOf(machine), [])
})

test('a lane is emptied whose rows were deleted while it had a session', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  const reader = new ReaderAlone(machine, laneTo(machine))
  reader.checkIdentity({})
  reader.read()
  machine.user.exec('DELETE FROM mqout')
  reader.forget()
  const results = machine.store.run([{ type: 'scan' }], machine.nowMs)
  deepEqual(
    results.filter(({ type }) => type === 'drained'),
    [{ type: 'drained', lane: 1 }],
  )
})

test('a lane whose rows were deleted is emptied, unless it has a session', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  insert(machine, 'c', 'x')
  const reader = new ReaderAlone(machine, laneTo(machine, 'c'))
  machine.nowMs += 2_000
  machine.user.exec('DELETE FROM mqout')
  machine.news.length = 0
  machine.run({ type: 'scan' })
  const [lane] = machine.all("SELECT id FROM mqlane WHERE host = 'b'")
  deepEqual(machine.news, [{ type: 'drained', lane: lane?.['id'] }])
  reader.forget()
})

test('a lane with nothing but parked rows is not named', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x'.repeat(500))
  const reader = new ReaderAlone(machine, laneTo(machine))
  reader.checkIdentity({ messageBytesMax: 100 })
  equal(reader.read(), undefined)
  reader.forget()
  machine.crash()
  deepEqual(lanesOf(machine), [])
})

test('a wish to try again is passed on and cleared', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  lanesOf(machine)
  machine.user.exec("UPDATE mqlane SET requested = 'retry'")
  machine.nowMs += 2_000
  machine.run({ type: 'scan' })
  deepEqual(machine.news.splice(0), [{ type: 'retry-requested', lane: 1 }])
  deepEqual(machine.all('SELECT requested FROM mqlane'), [{ requested: null }])
})

test('many new rows at once, in many lanes, are all found', (t) => {
  const machine = machineOf(t)
  const put = machine.user.prepare('INSERT INTO mqout (host, port, data) VALUES (?, ?, ?)')
  machine.user.exec('BEGIN')
  for (let row = 0; row < 1_000; row++) put.run(`h${row % 50}`, 1 + (row % 7), 'x')
  machine.user.exec('COMMIT')
  equal(lanesOf(machine).length, 350)
})

test('rerouted rows are found though no row is new', (t) => {
  const machine = machineOf(t)
  insert(machine, 'dead', 'x')
  lanesOf(machine)
  machine.user.exec("UPDATE mqout SET host = 'alive'")
  deepEqual(
    lanesOf(machine).map(({ host }) => host),
    ['alive'],
  )
})

// ---- transactions

test('what writes nothing takes no lock', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  insert(sender, 'b', 'x')
  const link = linkOf(pair)
  link.settle()
  for (const { user } of [sender, receiver]) user.exec('BEGIN IMMEDIATE')
  const versions = [sender, receiver].map(versionOf)
  sender.run({ type: 'scan' })
  sender.run({ type: 'read', session: 0, bytesMax: 1 })
  sender.run({ type: 'open-lane', lane: link.lane.lane, session: -1 })
  receiver.run({ type: 'scan' })
  equal(sender.take(-1)?.type, 'lane-opened')
  deepEqual([sender, receiver].map(versionOf), versions)
  for (const { user } of [sender, receiver]) user.exec('ROLLBACK')
})

test('a database that is busy leaves everything to be done, in its order', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  const reader = new ReaderAlone(machine, laneTo(machine))
  reader.checkIdentity({})
  machine.user.exec('BEGIN IMMEDIATE')
  const { store } = machine
  const { session } = reader
  const tasks = [
    { type: 'event', code: 'ONE', detail: 'first' },
    { type: 'read', session, bytesMax: 1_000 },
    { type: 'event', code: 'TWO', detail: 'second' },
  ] as const
  deepEqual(store.run(tasks, machine.nowMs), [])
  ok(store.hasWork && store.pauseUs > 0)
  deepEqual(store.run([], machine.nowMs), [])
  machine.user.exec('ROLLBACK')
  deepEqual(
    store.run([], machine.nowMs).map(({ type }) => type),
    ['rows'],
  )
  ok(!store.hasWork)
  deepEqual(
    machine.all('SELECT code FROM mqevent').map(({ code }) => code),
    ['ONE', 'TWO'],
  )
})

test('rows that come while the database is busy are stored once', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  for (let row = 0; row < 20; row++) insert(sender, 'b', `row ${row}`)
  const link = linkOf(pair)
  for (let steps = 0; link.nextTaskOf(receiver) === undefined; steps++) link.step(100, 1_000)
  receiver.user.exec('BEGIN IMMEDIATE')
  const task = link.nextTaskOf(receiver)
  ok(task !== undefined)
  deepEqual(receiver.store.run([task], receiver.nowMs), [])
  deepEqual(receiver.store.run([], receiver.nowMs), [])
  receiver.user.exec('ROLLBACK')
  receiver.run()
  link.drop()
  link.settle()
  deepEqual(
    inboxOf(receiver),
    Array.from({ length: 20 }, (_, row) => `row ${row}`),
  )
})

test('much work is done in several transactions, with the lock free between them', (t) => {
  const machine = machineOf(t)
  const put = machine.user.prepare('INSERT INTO mqout (host, token, data) VALUES (?, ?, ?)')
  machine.user.exec('BEGIN')
  for (let row = 0; row < 10_000; row++) put.run('b', 'token', 'x')
  machine.user.exec('COMMIT')
  const reader = new ReaderAlone(machine, laneTo(machine))
  reader.checkIdentity({})
  let last = 0
  while (last < 10_000) last = reader.read(262_144)?.lastSequence ?? Infinity
  const { store } = machine
  const { session } = reader
  store.run([{ type: 'confirmed', session, sequence: 10_000 }], machine.nowMs)
  let transactions = 1
  for (; store.hasWork; transactions++) {
    machine.user.exec("INSERT INTO mqout (host, data) VALUES ('elsewhere', 'between')")
    store.run([], machine.nowMs)
  }
  ok(transactions >= 5, `${transactions} transactions`)
  equal(machine.all("SELECT count(*) AS n FROM mqout WHERE host = 'b'")[0]?.['n'], 0)
})

test('many small messages in one piece are stored in several transactions', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  sender.user.exec('BEGIN')
  for (let row = 0; row < 5_000; row++) insert(sender, 'b', String(row))
  sender.user.exec('COMMIT')
  const reader = new ReaderAlone(sender, laneTo(sender))
  const session = 77
  receiver.run({
    type: 'accept',
    session,
    key: '',
    databaseId: sender.databaseId,
    stream: reader.stream,
    confirmed: 0,
    mustBeKnown: false,
    host: '',
    port: 0,
  })
  receiver.take(session)
  reader.checkIdentity({ database: receiver.databaseId })
  const pieces: Uint8Array[] = []
  for (let rows = reader.read(); rows !== undefined; rows = reader.read()) pieces.push(rows.bytes)
  const bytes = Buffer.concat(pieces)
  const spillBytes = 100_000
  const { store, nowMs } = receiver
  const [first] = store.run([{ type: 'receive', session, offset: 0, bytes, spillBytes }], nowMs)
  ok(first?.type === 'received' && first.sequence <= 2_100)
  ok(store.hasWork)
  receiver.run()
  equal(receiver.all('SELECT count(*) AS n FROM mqin')[0]?.['n'], 5_000)
  let durable = 0
  for (let said = receiver.take(session); said; said = receiver.take(session)) {
    ok(said.type === 'received' && said.durable >= durable)
    durable = said.durable
  }
  equal(durable, bytes.length)
})

test('what a lane does is written at most once a second, or with something else', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  const { lane } = laneTo(machine)
  const trouble = (reason: string, retryInUs = 5_000_000): LaneStatus => ({
    type: 'waiting',
    code: 'TINYMQ_UNREACHABLE',
    reason,
    retryInUs,
  })
  machine.run({ type: 'lane-status', lane, status: { type: 'connecting' } })
  const before = versionOf(machine)
  for (let n = 0; n < 50; n++) {
    machine.nowMs += 10
    machine.run({ type: 'lane-status', lane, status: trouble(`reason ${n}`) })
  }
  equal(versionOf(machine), before)
  machine.nowMs += 1_000
  machine.run()
  deepEqual(machine.all('SELECT state, error_code, error, since, retry_at FROM mqlane'), [
    {
      state: 'waiting',
      error_code: 'TINYMQ_UNREACHABLE',
      error: 'reason 49',
      since: machine.nowMs - 1_490,
      retry_at: machine.nowMs + 4_000,
    },
  ])
  const after = versionOf(machine)
  machine.nowMs += 5_000
  machine.run({ type: 'lane-status', lane, status: trouble('reason 49', 0) })
  machine.run({ type: 'lane-status', lane, status: trouble('reason 49', 100) })
  equal(versionOf(machine), Number(after) + 1)
})

test('what a lane has sent adds up in its row', (t) => {
  const machine = machineOf(t)
  insert(machine, 'b', 'x')
  const { lane } = laneTo(machine)
  const traffic = { rttUs: 900, packets: 10, lost: 3 }
  machine.run({ type: 'lane-traffic', lane, traffic })
  machine.nowMs += 1_000
  machine.run()
  machine.run({ type: 'lane-traffic', lane, traffic })
  machine.run({ type: 'lane-traffic', lane, traffic: { rttUs: 800, packets: 1, lost: 0 } })
  machine.nowMs += 1_000
  machine.run()
  deepEqual(machine.all('SELECT rtt_us, packets, lost FROM mqlane'), [
    { rtt_us: 800, packets: 21, lost: 6 },
  ])
})

test('when it may rest after many commits, the log is moved before some commit must do it', (t) => {
  const machine = machineOf(t)
  const logOf = (): unknown => machine.user.pragma('wal_checkpoint(NOOP)')
  const commit = (): void => machine.run({ type: 'event', code: 'X', detail: '' })
  machine.user.pragma('wal_checkpoint(TRUNCATE)')
  for (let n = 0; n < 49; n++) commit()
  const before = logOf()
  machine.store.checkpointWhenIdle()
  deepEqual(logOf(), before)
  commit()
  machine.store.checkpointWhenIdle()
  const [{ log, checkpointed }] = logOf() as [{ log: number; checkpointed: number }]
  ok(log > 0 && log === checkpointed, `${checkpointed} of ${log} pages are in the file`)
})

test('only the newest thousand events are kept', (t) => {
  const machine = machineOf(t)
  for (let n = 0; n < 1_020; n++) machine.run({ type: 'event', code: 'X', detail: String(n) })
  deepEqual(machine.all('SELECT count(*) AS n, min(detail + 0) AS first FROM mqevent'), [
    { n: 1_000, first: 20 },
  ])
})

test('peers that have sent something are known, the latest first', (t) => {
  const pair = pairOf(t)
  deliver(pair, 'x')
  deepEqual(pair.receiver.store.peers(), [{ host: 'sender', port: 9000 }])
  deepEqual(pair.sender.store.peers(), [])
})

test('of very many peers those that have sent much are among the ones that are known', (t) => {
  const machine = machineOf(t)
  const insert = machine.user.prepare(
    `INSERT INTO mqsender (stream, host, port, watermark, seen_at)
       VALUES (randomblob(16), ?, ?, ?, ?)`,
  )
  for (let n = 1; n <= 5; n++) insert.run('true', n, 1_000 + n, n)
  for (let n = 1; n <= 1_000; n++) insert.run('made-up', n, 1, 1_000_000 + n)
  const peers = machine.store.peers()
  equal(peers.length, 256)
  equal(peers.filter(({ host }) => host === 'true').length, 5)
  deepEqual(peers[0], { host: 'made-up', port: 1_000 })
})

// ---- faults

test('when a transaction fails, every session is ended, and all goes on afterwards', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  for (const data of ['a', 'b']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({ database: receiver.databaseId })
  reader.read()
  const event = { type: 'event', code: 'KEPT', detail: 'though the transaction fails' } as const
  const { session } = reader
  const full = { code: 'SQLITE_FULL', rollsBack: true }
  sender.faults.once((sql) => sql.startsWith('DELETE FROM mqout'), full)
  const said = sender.store.run([event, { type: 'confirmed', session, sequence: 1 }], sender.nowMs)
  deepEqual(
    said.map(({ type }) => type),
    ['session-invalidated'],
  )
  match(JSON.stringify(said), /a fault of the test at: DELETE/)
  ok(sender.store.pauseUs >= 1_000_000)
  sender.run()
  deepEqual(eventsOf(sender), ['TINYMQ_DISK_FULL', 'KEPT'])
  equal(lanesOf(sender).length + sender.news.length, 1)
  linkOf(pair).settle()
  deepEqual(inboxOf(receiver), ['a', 'b'])
})

test('a lane that somebody edits while it is in use is read again', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  insert(sender, 'b', 'a')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({ database: receiver.databaseId })
  sender.user.exec('UPDATE mqlane SET numbered = 5')
  const said = sender.store.run(
    [{ type: 'read', session: reader.session, bytesMax: 1_000 }],
    sender.nowMs,
  )
  deepEqual(
    said.map(({ type }) => type),
    ['session-invalidated'],
  )
  sender.user.exec('UPDATE mqlane SET numbered = 0')
  linkOf(pair).settle()
  deepEqual(inboxOf(receiver), ['a'])
})

test('errors are distinguished by what is to be done about them', () => {
  const faultOfCode = (code: string): string =>
    faultOf(new BetterSqlite3.SqliteError('said', code)).type
  for (const code of ['SQLITE_FULL', 'SQLITE_BUSY', 'SQLITE_CONSTRAINT_TRIGGER', 'SQLITE_ERROR']) {
    equal(faultOfCode(code), 'wait', code)
  }
  for (const code of ['SQLITE_IOERR_FSYNC', 'SQLITE_CORRUPT', 'SQLITE_NOTADB']) {
    equal(faultOfCode(code), 'fatal', code)
  }
  equal(faultOf(new TinymqError('TINYMQ_BUSY', 'said')).type, 'wait')
  equal(faultOf(new TinymqError('TINYMQ_CORRUPT', 'said')).type, 'fatal')
  equal(faultOf(new TypeError('ours')).type, 'bug')
})

test('a file that is damaged is the end', (t) => {
  const machine = World.of(t).machine()
  const [row] = machine.all("SELECT rootpage FROM sqlite_schema WHERE name = 'mqevent'")
  machine.close()
  const file = openSync(machine.path, 'r+')
  writeSync(file, Buffer.alloc(4_096, 0xaa), 0, 4_096, (Number(row?.['rootpage']) - 1) * 4_096)
  closeSync(file)
  const store = openStore(machine.path)
  throws(
    () => store.run([{ type: 'event', code: 'X', detail: '' }], 0),
    (error) => error instanceof TinymqError && error.code === 'TINYMQ_CORRUPT',
  )
  store.close()
})

test('a database id that can be nobody is the end, at the start and later', (t) => {
  const isSaid = (error: unknown): boolean =>
    error instanceof TinymqError &&
    error.code === 'TINYMQ_CORRUPT' &&
    /database_id in mqmeta, .* no BLOB of 16 bytes: write back/.test(error.message)
  for (const value of ['NULL', "'sixteen letters!'", 'zeroblob(15)', 'zeroblob(100000)']) {
    const machine = World.of(t).machine()
    machine.run()
    machine.user.exec(`UPDATE mqmeta SET value = ${value} WHERE key = 'database_id'`)
    throws(() => machine.run(), isSaid, value)
    machine.close()
    throws(() => openStore(machine.path), isSaid, value)
  }
})

test('a database is synced with each commit, unless a simulator says otherwise', (t) => {
  const world = World.of(t)
  const synchronous = (isDurable: boolean): unknown => {
    const connection = new Connection(join(world.directory, 'db'), () => 0, { isDurable })
    const statement = connection.prepareValue<[], number>('PRAGMA synchronous')
    const value = statement.get()
    connection.close()
    return value
  }
  equal(synchronous(true), 2)
  equal(synchronous(false), 0)
})

// ---- leaving room for others

test('the lock is left alone for a third of the time that it was held, in company as long', () => {
  const throttle = new WriteThrottle()
  throttle.onCommit(6_000, 0)
  equal(throttle.pauseUs, 2_000)
  throttle.onForeignCommit(0)
  throttle.onCommit(6_000, 1_999)
  equal(throttle.pauseUs, 6_000)
  throttle.onCommit(6_000, 2_000)
  equal(throttle.pauseUs, 2_000)
  throttle.onIdle()
  equal(throttle.pauseUs, 0)
})

test('a transaction that took ten seconds is not followed by a pause of seconds', () => {
  const throttle = new WriteThrottle()
  throttle.onCommit(10_000_000, 0)
  equal(throttle.pauseUs, 200_000)
})

// ---- plans

const plans: readonly (readonly [string, string, RegExp])[] = [
  [
    'fresh rows',
    packedAll(freshSql(false)),
    /^SEARCH o USING INDEX mqout_lane \(host=\? AND port=\? AND rowid>\?\)/,
  ],
  [
    'late rows',
    packedAll(lateSql(false)),
    /^SEARCH o USING INDEX mqout_lane .* rowid>\? AND rowid<\?\)/,
  ],
  [
    'counting a run',
    countSql(false),
    /^SEARCH mqout USING COVERING INDEX mqout_lane .* rowid<\?\)$/,
  ],
  [
    'deleting a run',
    deleteRangeSql(false),
    /^SEARCH mqout USING (?:COVERING )?INDEX mqout_lane .* rowid<\?\)/,
  ],
  ['deleting a row', deleteOneSql, /^SEARCH mqout USING INTEGER PRIMARY KEY \(rowid=\?\)$/],
  ['new rows', newRowsSql, /^SEARCH mqout USING INTEGER PRIMARY KEY \(rowid>\?\)$/],
  [
    'the next port',
    nextPortSql,
    /^SEARCH mqout USING COVERING INDEX .* \(host=\? AND port>\? AND port<\?\)$/,
  ],
  [
    'the next host',
    nextHostSql,
    /^SEARCH mqout USING COVERING INDEX mqout_lane \(host>\? AND host<\?\)$/,
  ],
]

const byToken = /^SEARCH o USING INDEX mqout_lane \(host=\? AND port=\? AND token=\? AND rowid>\?/
const inLane = /^SEARCH mqout USING (?:COVERING )?INDEX mqout_lane \(.* AND token=\? .* rowid<\?\)/

const plansByToken: typeof plans = [
  ['fresh rows', packedAll(freshSql(true)), byToken],
  ['late rows', packedAll(lateSql(true)), byToken],
  ['counting a run', countSql(true), inLane],
  ['deleting a run', deleteRangeSql(true), inLane],
  [
    'the next token',
    nextTokenSql,
    /COVERING INDEX .* \(host=\? AND port=\? AND token>\? AND token<\?\)$/,
  ],
  ['the next port', nextPortByTokenSql, /COVERING INDEX .* \(host=\? AND port>\? AND port<\?\)$/],
  ['the next host', nextHostByTokenSql, /COVERING INDEX mqout_lane \(host>\? AND host<\?\)$/],
]

function expectPlan(machine: Machine, sql: string, expected: RegExp): void {
  const values = Array.from(sql.matchAll(/\?/g), () => 1)
  const steps = machine.user.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values)
  const details = steps.map((step) => (step as { detail: string }).detail)
  // A subquery is a step of its own, before what it does.
  match(details.find((detail) => detail.startsWith('SEARCH')) ?? '', expected)
  ok(!details.some((detail) => /TEMP B-TREE/.test(detail)), details.join('\n'))
}

for (const [name, sql, expected] of plans) {
  test(`no plan walks through the outbox: ${name}`, (t) => {
    expectPlan(machineOf(t), sql, expected)
  })
}

for (const [name, sql, expected] of plansByToken) {
  test(`no plan walks through the outbox with a key ring: ${name}`, (t) => {
    const machine = machineOf(t)
    machine.restartWith({ type: 'keys', keylessTokens: [] })
    machine.run()
    // The connection learns of the other index when it reads, not when it explains.
    machine.all('SELECT count(*) FROM mqout')
    expectPlan(machine, sql, expected)
  })
}

test('without the index of tokens all places are found by one walk, and then it rests', (t) => {
  const machine = machineOf(t)
  machine.restartWith({ type: 'keys', keylessTokens: [] })
  machine.run()
  const put = machine.user.prepare('INSERT INTO mqout (host, token, data) VALUES (?, ?, ?)')
  machine.user.transaction(() => {
    for (let row = 0; row < 3_000; row++) put.run(`b${row % 3}`, `key-${row % 5}`, 'x')
  })()
  machine.user.exec('DROP INDEX mqout_lane; CREATE INDEX mqout_lane ON mqout (host, port)')
  const lanes = lanesOf(machine)
  equal(new Set(lanes.map(({ host, key }) => `${host} ${key}`)).size, 15)
  equal(lanes.length, 15)
  // Somebody else's lane is found by the next walk, which is due after a rest.
  machine.user.transaction(() => {
    for (let row = 0; row < 300; row++) put.run('late', 'key-1', 'x')
  })()
  machine.nowMs += 3_600_000
  deepEqual(
    lanesOf(machine).map(({ host }) => host),
    ['late'],
  )
})

test('the exceptions to a range are looked up by key', (t) => {
  const machine = machineOf(t)
  const steps = machine.user.prepare(`EXPLAIN QUERY PLAN ${isAnyOtherSql}`).all(1, 2, 1, 2)
  const details = steps.map((step) => (step as { detail: string }).detail)
  equal(details.filter((detail) => detail.startsWith('SEARCH')).length, 2)
})

test('a tour leaps over the rows of a lane', (t) => {
  const machine = machineOf(t)
  const put = machine.user.prepare('INSERT INTO mqout (host, port, data) VALUES (?, ?, ?)')
  const leap = machine.user.prepare(nextPortSql)
  // The best of several: what else the machine does must not count.
  const bestMs = (): number => {
    const times = Array.from({ length: 7 }, () => {
      const beganMs = performance.now()
      for (let count = 0; count < 100; count++) leap.get('b', 1)
      return performance.now() - beganMs
    })
    return Math.min(...times)
  }
  const insertMany = (rows: number): void => {
    machine.user.exec('BEGIN')
    for (let row = 0; row < rows; row++) put.run('b', 1 + (row % 3), 'x')
    machine.user.exec('COMMIT')
  }
  insertMany(30)
  const few = bestMs()
  insertMany(30_000)
  ok(bestMs() < 20 * few + 1)
})

test('a lane goes on though a thousand others are dead', (t) => {
  const machine = machineOf(t)
  const put = machine.user.prepare('INSERT INTO mqout (host, token, data) VALUES (?, ?, ?)')
  machine.user.exec('BEGIN')
  for (let row = 0; row < 1_000; row++) put.run(`dead-${row}`, 'token', 'x')
  for (let row = 0; row < 3; row++) put.run('b', 'token', `row ${row}`)
  machine.user.exec('COMMIT')
  const reader = new ReaderAlone(machine, laneTo(machine))
  reader.checkIdentity({})
  deepEqual(show(reader.records(reader.read()?.bytes)), ['row 0', 'row 1', 'row 2'])
})
