import { deepEqual, equal, match, notDeepEqual, ok, throws } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { decodeBody, type RecordEvent } from '../record.ts'
import { LaneLink } from '../../../test/simulator/store/lane-link.ts'
import {
  deliver,
  inboxOf,
  laneTo,
  linkOf,
  pairOf,
  ReaderAlone,
  show,
} from '../../../test/simulator/store/pair.ts'
import { insert, lanesOf } from '../../../test/simulator/store/world.ts'

test('rows leave in the order of their ids, numbered on disk before the answer', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['one', 'two', 'three']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  deepEqual(reader.checkIdentity({}), {
    type: 'identity-checked',
    session: reader.session,
    decision: { type: 'go' },
  })
  const rows = reader.read()
  deepEqual(show(reader.records(rows?.bytes)), ['one', 'two', 'three'])
  equal(rows?.lastSequence, 3)
  deepEqual(sender.all('SELECT first, count, id_first, id_last, ids FROM mqbatch'), [
    { first: 1, count: 3, id_first: 1, id_last: 3, ids: null },
  ])
})

test('an answer has its bytes to itself, so that it can move to another thread', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  const bytes = reader.read()?.bytes
  equal(bytes?.buffer.byteLength, bytes?.length)
})

test('a read waits until a scan finds a row', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'first')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  equal(reader.read(), undefined)
  sender.run({ type: 'scan' })
  equal(reader.rows(), undefined)
  insert(sender, 'b', 'second')
  sender.run({ type: 'scan' })
  deepEqual(show(reader.records(reader.rows()?.bytes)), ['second'])
})

test('a session after a crash gives the same rows the same sequences', (t) => {
  const { sender } = pairOf(t)
  for (let row = 0; row < 50; row++) insert(sender, 'b', `row ${row}`)
  const first = new ReaderAlone(sender, laneTo(sender))
  first.checkIdentity({})
  const before = first.read()
  sender.crash()
  const second = new ReaderAlone(sender, laneTo(sender))
  deepEqual(second.stream, first.stream)
  second.checkIdentity({})
  const after = second.read()
  deepEqual(after?.bytes, before?.bytes)
  equal(after?.lastSequence, 50)
})

test('confirmed rows leave the outbox, and what is kept of the run says so', (t) => {
  const { sender } = pairOf(t)
  for (let row = 0; row < 10; row++) insert(sender, 'b', `row ${row}`)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  reader.confirm(4)
  equal(sender.all('SELECT id FROM mqout').length, 6)
  equal(sender.all('SELECT 1 FROM mqbatch WHERE done_at IS NULL').length, 1)
  reader.confirm(10)
  equal(sender.all('SELECT id FROM mqout').length, 0)
  deepEqual(sender.all('SELECT ids, uids, done_at FROM mqbatch'), [
    { ids: null, uids: null, done_at: sender.nowMs },
  ])
})

test('a confirm of what was never handed over frees nothing', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.confirm(1)
  equal(sender.all('SELECT id FROM mqout').length, 1)
})

test('a row that is deleted before it is sent is skipped, and counts as not delivered', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['a', 'b', 'c', 'd']) insert(sender, 'b', data)
  const first = new ReaderAlone(sender, laneTo(sender))
  first.checkIdentity({})
  first.read()
  first.forget()
  sender.user.exec('DELETE FROM mqout WHERE id IN (2, 3)')
  const second = new ReaderAlone(sender, laneTo(sender))
  second.checkIdentity({})
  deepEqual(show(second.records(second.read()?.bytes)), ['a', 'skip 2', 'd'])
  second.confirm(4)
  const ids = Buffer.from('0000000000000001000000000000000000000000000000000000000000000004', 'hex')
  deepEqual(sender.all('SELECT ids FROM mqbatch'), [{ ids }])
})

test('rows deleted in flight are cancelled when nobody asks, confirmed ones are not', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['a', 'b', 'c']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  reader.confirm(1)
  reader.forget()
  sender.user.exec('DELETE FROM mqout')
  for (let scans = 0; scans < 2; scans++) {
    sender.nowMs += 2_000
    sender.run({ type: 'scan' })
  }
  const ids = Buffer.from('000000000000000100000000000000000000000000000000', 'hex')
  deepEqual(sender.all('SELECT ids, done_at FROM mqbatch'), [{ ids, done_at: null }])
  const again = new ReaderAlone(sender, laneTo(sender))
  again.checkIdentity({})
  deepEqual(show(again.records(again.read()?.bytes)), ['skip 2'])
  again.confirm(3)
  deepEqual(sender.all('SELECT ids FROM mqbatch WHERE done_at IS NOT NULL'), [{ ids }])
})

test('a row under an id that is in flight is another message: both are dealt with', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['a', 'b', 'c']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  sender.user.exec(
    "INSERT OR REPLACE INTO mqout (id, host, token, data) VALUES (2, 'b', 'token', 'B')",
  )
  sender.run({ type: 'scan' })
  const requeued = reader.read()
  equal(requeued?.lastSequence, 4)
  // The first run is confirmed while the new row 2 has its number in another.
  reader.confirm(3)
  deepEqual(sender.all('SELECT id, data FROM mqout'), [{ id: 2, data: 'B' }])
  reader.forget()
  const again = new ReaderAlone(sender, laneTo(sender))
  again.checkIdentity({})
  deepEqual(show(again.records(again.read()?.bytes)), ['B'])
})

test('a row under an id that is in flight stays, when the confirm comes before a look', (t) => {
  // To the same host, and to another one: neither may go with the range that is confirmed.
  for (const host of ['b', 'c']) {
    const { sender } = pairOf(t)
    for (const data of ['a', 'b', 'c']) insert(sender, 'b', data)
    const reader = new ReaderAlone(sender, laneTo(sender))
    reader.checkIdentity({})
    reader.read()
    sender.user.exec(
      `INSERT OR REPLACE INTO mqout (id, host, token, data) VALUES (2, '${host}', 'token', 'B')`,
    )
    reader.confirm(3)
    deepEqual(sender.all('SELECT id, data FROM mqout'), [{ id: 2, data: 'B' }])
  }
})

test('a row deleted in flight counts as cancelled, when the confirm comes before a look', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['a', 'b', 'c']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  sender.user.exec('DELETE FROM mqout WHERE id = 2')
  reader.confirm(3)
  const ids = Buffer.from('000000000000000100000000000000000000000000000003', 'hex')
  deepEqual(sender.all('SELECT ids FROM mqbatch'), [{ ids }])
})

test('a row under the id of one that was delivered does not undo the delivery', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['a', 'b', 'c']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  reader.confirm(1)
  sender.user.exec("INSERT INTO mqout (id, host, token, data) VALUES (1, 'b', 'token', 'A')")
  sender.run({ type: 'scan' })
  equal(reader.read()?.lastSequence, 4)
  reader.confirm(3)
  // Nothing was struck out of the run: should the peer lose it, all three are reported.
  deepEqual(sender.all('SELECT ids FROM mqbatch WHERE first = 1'), [{ ids: null }])
  deepEqual(sender.all('SELECT id, data FROM mqout'), [{ id: 1, data: 'A' }])
})

test('the very same row, put back while it is in flight, is not sent under two numbers', (t) => {
  const { sender } = pairOf(t)
  for (const data of ['a', 'b']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  sender.user.exec(`INSERT OR REPLACE INTO mqout (id, host, token, uid, data)
    SELECT id, host, token, uid, data FROM mqout WHERE id = 2`)
  sender.run({ type: 'scan' })
  equal(reader.read(), undefined)
  reader.confirm(2)
  deepEqual(sender.all('SELECT id FROM mqout'), [])
})

test('a row with a low id by hand, and one that is rerouted, are not overlooked', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'x', 'rerouted')
  for (const data of ['a', 'b']) insert(sender, 'b', data)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  reader.confirm(2)
  sender.user.exec("UPDATE mqout SET host = 'b' WHERE id = 1")
  sender.user.exec("INSERT INTO mqout (id, host, token, data) VALUES (2, 'b', 'token', 'low')")
  // And go before newer rows, though no scan has reported them.
  insert(sender, 'b', 'new')
  deepEqual(show(reader.records(reader.read()?.bytes)), ['rerouted', 'low', 'new'])
  deepEqual(sender.all('SELECT id FROM mqrequeue'), [])
})

test('a row in flight cannot be rerouted, one that waits for a dead host can', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'in flight')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  insert(sender, 'b', 'waiting')
  throws(() => sender.user.exec("UPDATE mqout SET host = 'c' WHERE id = 1"), /TINYMQ_IN_FLIGHT/)
  sender.user.exec("UPDATE mqout SET host = 'c' WHERE id = 2")
  deepEqual(sender.all('SELECT id, host FROM mqout'), [
    { id: 1, host: 'b' },
    { id: 2, host: 'c' },
  ])
})

test('a row that is too large for the peer is parked before it gets a number', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x'.repeat(500))
  insert(sender, 'b', 'small')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({ messageBytesMax: 400 })
  deepEqual(show(reader.records(reader.read()?.bytes)), ['small'])
  reader.confirm(1)
  deepEqual(sender.all('SELECT id, code FROM mqparked'), [{ id: 1, code: 'TINYMQ_PEER_LIMIT' }])
  match(String(sender.all('SELECT reason FROM mqparked')[0]?.['reason']), /at most 400 bytes/)
})

test('a peer that takes no bodies at all parks every row', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  insert(sender, 'b', '')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({ messageBytesMax: 0 })
  deepEqual(show(reader.records(reader.read()?.bytes)), [])
  deepEqual(sender.all('SELECT id, code FROM mqparked'), [
    { id: 1, code: 'TINYMQ_PEER_LIMIT' },
    { id: 2, code: 'TINYMQ_PEER_LIMIT' },
  ])
})

test('a numbered row that has become too large for the peer is parked and skipped', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x'.repeat(500))
  insert(sender, 'b', 'small')
  const wide = new ReaderAlone(sender, laneTo(sender))
  wide.checkIdentity({})
  wide.read()
  const [before] = sender.all('SELECT uids FROM mqbatch')
  const narrow = new ReaderAlone(sender, laneTo(sender))
  narrow.checkIdentity({ messageBytesMax: 400 })
  deepEqual(show(narrow.records(narrow.read()?.bytes)), ['skip 1', 'small'])
  narrow.confirm(2)
  deepEqual(sender.all('SELECT id FROM mqout'), [{ id: 1 }])
  notDeepEqual(sender.all('SELECT uids FROM mqbatch')[0], before)
})

test('a rejected row is parked with the reason, and tried again at the pace asked for', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  receiver.user.exec(`CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.data = 'bad'
    BEGIN SELECT RAISE(ABORT, 'no bad ones'); END`)
  deliver(pair, 'a', 'bad', 'b')
  deepEqual(inboxOf(receiver), ['a', 'b'])
  deepEqual(sender.all('SELECT id, code, reason, attempts, retry_at FROM mqparked'), [
    {
      id: 2,
      code: 'TINYMQ_REFUSED',
      reason: 'no bad ones',
      attempts: 1,
      retry_at: sender.nowMs + 60_000,
    },
  ])
  sender.nowMs += 61_000
  deliver(pair)
  equal(sender.all('SELECT attempts FROM mqparked')[0]?.['attempts'], 2)
  receiver.user.exec('DROP TRIGGER picky')
  // The pause doubles while the row is rejected.
  sender.nowMs += 121_000
  // The first scan frees the row, the second finds it.
  deliver(pair)
  deepEqual(inboxOf(receiver), ['a', 'b', 'bad'])
})

test('a parked row is tried at once when it is changed, or taken out of mqparked', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  receiver.user.exec(`CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.data LIKE 'bad%'
    BEGIN SELECT RAISE(ABORT, 'no bad ones'); END`)
  deliver(pair, 'bad 1', 'bad 2')
  equal(sender.all('SELECT id FROM mqparked').length, 2)
  sender.user.exec("UPDATE mqout SET data = 'good' WHERE id = 1")
  deliver(pair)
  deepEqual(inboxOf(receiver), ['good'])
  receiver.user.exec('DROP TRIGGER picky')
  sender.user.exec('DELETE FROM mqparked')
  deliver(pair)
  deepEqual(inboxOf(receiver), ['good', 'bad 2'])
})

test('P8: a row that was fixed, and is rejected again, waits no longer for it', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  receiver.user.exec(`CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.data LIKE 'bad%'
    BEGIN SELECT RAISE(ABORT, 'no bad ones'); END`)
  deliver(pair, 'bad')
  for (const attempts of [2, 3]) {
    sender.nowMs += 1_000
    sender.user.exec("UPDATE mqout SET data = data || ' still'")
    deliver(pair)
    const retry = { attempts, retry_at: sender.nowMs + 60_000 }
    deepEqual(sender.all('SELECT attempts, retry_at FROM mqparked'), [retry])
  }
})

test('an older copy of the database does not take a rejected row for a delivered one', (t) => {
  const pair = pairOf(t)
  const { world, sender, receiver } = pair
  receiver.user.exec(`CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.data = 'bad'
    BEGIN SELECT RAISE(ABORT, 'no bad ones'); END`)
  insert(sender, 'b', 'bad')
  const link = linkOf(pair)
  // Until the row has its number and is on its way.
  for (let steps = 0; sender.all('SELECT 1 FROM mqbatch').length === 0; steps++) link.step(7, 100)
  const backup = `${sender.path}-backup`
  sender.backup(backup)
  link.settle()
  link.drop()
  equal(sender.all('SELECT 1 FROM mqparked').length, 1)
  receiver.user.exec('DROP TRIGGER picky')
  const copy = world.copy(backup)
  t.after(() => copy.close())
  const other = new LaneLink({ from: copy, to: receiver, lane: laneTo(copy) })
  other.settle()
  deepEqual(inboxOf(receiver), ['bad'])
})

const odd: readonly (readonly [string, string | Uint8Array])[] = [
  ['the empty string', ''],
  ['no bytes', new Uint8Array(0)],
  ['a NUL inside', 'a\0b'],
  ['emoji and combining characters', 'é 👩‍👩‍👧 e\u0301'],
  ['bytes that are no text', Uint8Array.of(0, 255, 254, 128, 10)],
  ['64,000 characters', 'ü'.repeat(64_000)],
  ['1 MiB of bytes', new Uint8Array(1_048_576).fill(200)],
  ['3 MiB of text', '0123456789abcdef'.repeat(196_608)],
]

for (const [name, data] of odd) {
  test(`data arrive as they were: ${name}`, (t) => {
    const pair = pairOf(t)
    deliver(pair, data)
    const [arrived] = pair.receiver.all('SELECT data, typeof(data) AS type FROM mqin')
    equal(arrived?.['type'], typeof data === 'string' ? 'text' : 'blob')
    deepEqual(arrived['data'], typeof data === 'string' ? data : Buffer.from(data))
  })
}

test('a row with text that is not UTF-8 is parked, and the others arrive', (t) => {
  const pair = pairOf(t)
  // What the triggers let through, because it cannot be found in SQL, or not for free.
  const odd = "CAST(x'61bf62' AS TEXT)"
  const large = "CAST(randomblob(300000) || x'ff' AS TEXT)"
  pair.sender.user.exec(`INSERT INTO mqout (host, token, headers, data) VALUES
    ('b', 'token', NULL, ${odd}), ('b', ${odd}, NULL, 'x'), ('b', 'token', ${odd}, 'x'),
    ('b', 'token', NULL, ${large}), (${odd}, 'token', NULL, 'x'), (${odd}, 'other', NULL, 'x'),
    ('b', 'token', NULL, x'61bf62'), ('b', 'grün', '{"ü":"€"}', 'größer 😀')`)
  deliver(pair)
  deepEqual(
    pair.receiver.all('SELECT hex(data) AS h, token FROM mqin').map(({ h, token }) => [h, token]),
    [
      ['61BF62', 'token'],
      [Buffer.from('größer 😀').toString('hex').toUpperCase(), 'grün'],
    ],
  )
  const parked = pair.sender.all('SELECT id, code, reason FROM mqparked ORDER BY id')
  deepEqual(
    parked.map(({ id, code, reason }) => [id, code, /^\w+/.exec(String(reason))?.[0]]),
    [
      [1, 'TINYMQ_INVALID_TEXT', 'data'],
      [2, 'TINYMQ_INVALID_TEXT', 'token'],
      [3, 'TINYMQ_INVALID_TEXT', 'headers'],
      [4, 'TINYMQ_INVALID_TEXT', 'data'],
      [5, 'TINYMQ_INVALID_TEXT', 'host'],
      [6, 'TINYMQ_INVALID_TEXT', 'host'],
    ],
  )
  pair.sender.user.exec("UPDATE mqout SET host = 'b', data = 'repaired' WHERE id IN (1, 5)")
  deliver(pair)
  const last = pair.receiver.all('SELECT data FROM mqin ORDER BY id DESC LIMIT 2')
  deepEqual(last, [{ data: 'repaired' }, { data: 'repaired' }])
})

test('with keys, a token that is not UTF-8 is parked, and its neighbours have their lanes', (t) => {
  const { sender } = pairOf(t)
  sender.restartWith({ type: 'keys', keylessTokens: [] })
  sender.user.exec(`INSERT INTO mqout (host, token, data) VALUES
    ('b', CAST(x'61bf62' AS TEXT), 'x'), ('b', 'a', 'x'), ('b', 'z', 'x')`)
  deepEqual(
    lanesOf(sender).map(({ key }) => key),
    ['a', 'z'],
  )
  deepEqual(sender.all('SELECT id, code FROM mqparked'), [{ id: 1, code: 'TINYMQ_INVALID_TEXT' }])
})

test('a row that comes back with a token of another key does not go by the lane of before', (t) => {
  const { sender } = pairOf(t)
  sender.restartWith({ type: 'keys', keylessTokens: ['token'] })
  insert(sender, 'b', 'no secret')
  const lane = laneTo(sender)
  const first = new ReaderAlone(sender, lane)
  first.checkIdentity({})
  first.read()
  sender.user.exec(`REPLACE INTO mqout (id, host, token, created_at, uid, data)
    SELECT id, host, 'vault', created_at, uid, 'secret' FROM mqout`)
  sender.run({ type: 'scan' })
  const again = new ReaderAlone(sender, lane)
  again.checkIdentity({})
  deepEqual(show(again.records(again.read()?.bytes)), ['skip 1'])
  const [vault] = sender.all("SELECT id FROM mqlane WHERE key = 'vault'")
  const reader = new ReaderAlone(sender, { ...lane, lane: Number(vault?.['id']), key: 'vault' })
  reader.checkIdentity({})
  match(String(show(reader.records(reader.read()?.bytes))), /secret$/)
})

for (const created of ['NULL', '0', "'noon'", '1.5', '1700000000000000000', '1700000000000000']) {
  test(`a row whose created_at is ${created} is held where the peer has forgotten`, (t) => {
    const { sender } = pairOf(t)
    sender.user.exec(`INSERT INTO mqout (host, created_at, data) VALUES ('b', ${created}, 'x')`)
    const reader = new ReaderAlone(sender, laneTo(sender))
    reader.checkIdentity({ logStart: 1_800_000_000_000 })
    sender.run({ type: 'read', session: reader.session, bytesMax: 65_536 })
    const said = sender.take(reader.session)
    ok(said?.type === 'identity-checked' && said.decision.type === 'pause')
    equal(said.decision.code, 'TINYMQ_AMBIGUOUS')
    sender.user.exec("UPDATE mqlane SET requested = 'resend'")
    const again = new ReaderAlone(sender, laneTo(sender))
    again.checkIdentity({ logStart: 1_800_000_000_000 })
    equal(again.records(again.read()?.bytes).length, 1)
  })
}

test('a read asks for little, and gets no more than that of many large rows', (t) => {
  const { sender } = pairOf(t)
  sender.user.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
    INSERT INTO mqout (host, data) SELECT 'b', zeroblob(200000 + i) FROM n`)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  const sizes: number[] = []
  for (let row = 0; row < 60; row++) {
    const [record] = reader.records(reader.read(1_000)?.bytes)
    ok(record?.type === 'message')
    sizes.push(record.body.length)
  }
  deepEqual(
    sizes.map((size) => size - (sizes[0] ?? 0)),
    sizes.map((_, index) => index),
  )
})

test('token, headers and time travel with the data', (t) => {
  const pair = pairOf(t)
  pair.sender.user.exec(`INSERT INTO mqout (host, token, headers, created_at, data)
    VALUES ('b', 'é', '{"a":1}', 1234, 'x'), ('b', '', NULL, NULL, 'y')`)
  deliver(pair)
  deepEqual(
    pair.receiver.all(
      'SELECT host, port, token, headers, sent_at, sender_row, arrived_at FROM mqin',
    ),
    [
      { token: 'é', headers: '{"a":1}', sent_at: 1234, sender_row: 1 },
      { token: '', headers: null, sent_at: 0, sender_row: 2 },
    ].map((row) => ({ host: 'sender', port: 9000, ...row, arrived_at: pair.receiver.nowMs })),
  )
})

test('a large row leaves in slices of at most 256 KiB, with the digest of its data', (t) => {
  const { sender } = pairOf(t)
  const data = Buffer.alloc(10_000_000, 'tinymq')
  insert(sender, 'b', data)
  insert(sender, 'b', 'small')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  const records: RecordEvent[] = []
  for (let rows = reader.read(); rows !== undefined; rows = reader.read()) {
    ok(rows.bytes.length <= 262_144 + 512)
    records.push(...reader.records(rows.bytes))
  }
  const [first, second] = records
  ok(first?.type === 'message' && second?.type === 'message')
  const message = decodeBody(first.body)
  ok(message !== undefined && data.equals(message.data))
  ok(
    createHash('sha256')
      .update(data)
      .digest()
      .equals(message.digest ?? new Uint8Array(0)),
  )
})

test('a large row that is deleted while it is sent ends the session, and is skipped then', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', new Uint8Array(20_000_000))
  insert(sender, 'b', 'next')
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  sender.user.exec('DELETE FROM mqout WHERE id = 1')
  let said: string | undefined = 'rows'
  for (let reads = 0; said === 'rows' && reads < 100; reads++) {
    sender.run({ type: 'read', session: reader.session, bytesMax: 65_536 })
    said = sender.take(reader.session)?.type
  }
  equal(said, 'session-invalidated')
  const second = new ReaderAlone(sender, laneTo(sender))
  second.checkIdentity({})
  deepEqual(show(second.records(second.read()?.bytes)), ['skip 1', 'next'])
})

test('a large message goes on where the last session ended', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  const data = Buffer.alloc(3_000_000, 'resume')
  insert(sender, 'b', data)
  const link = linkOf(pair)
  for (let steps = 0; steps < 12; steps++) link.step(200_000, 100_000)
  link.drop()
  receiver.crash()
  const kept = Number(receiver.all('SELECT sum(length(bytes)) AS n FROM mqfragment')[0]?.['n'])
  ok(kept > 1_000_000, `${kept} bytes are kept`)
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({ part: kept, database: receiver.databaseId })
  const [resumed] = reader.records(reader.read()?.bytes)
  ok(resumed?.type === 'resume')
  equal(resumed.offset, kept)
  reader.forget()
  link.settle()
  deepEqual(inboxOf(receiver), [data])
  deepEqual(receiver.all('SELECT 1 FROM mqfragment'), [])
})

test('done runs beyond a thousand are forgotten, and mqmeta says up to which row', (t) => {
  const { sender } = pairOf(t)
  const reader = { now: undefined as ReaderAlone | undefined }
  for (let row = 1; row <= 1_100; row++) {
    insert(sender, 'b', 'x')
    reader.now ??= new ReaderAlone(sender, laneTo(sender))
    if (row === 1) reader.now.checkIdentity({})
    else sender.run({ type: 'scan' })
    reader.now.read()
    reader.now.confirm(row)
  }
  const [batches] = sender.all('SELECT count(*) AS n, min(id_first) AS first FROM mqbatch')
  const kept = Number(batches?.['n'])
  ok(kept >= 1_000 && kept < 1_064 + 1, `${kept} runs are kept`)
  deepEqual(sender.all("SELECT value FROM mqmeta WHERE key = 'history_expired_id'"), [
    { value: Number(batches?.['first']) - 1 },
  ])
})

test('a newer session of the lane takes its place', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  const first = new ReaderAlone(sender, laneTo(sender))
  first.checkIdentity({})
  const second = new ReaderAlone(sender, laneTo(sender))
  equal(first.read(), undefined)
  second.checkIdentity({})
  first.forget()
  deepEqual(show(second.records(second.read()?.bytes)), ['x'])
  first.confirm(1)
  equal(sender.all('SELECT id FROM mqout').length, 1)
})
