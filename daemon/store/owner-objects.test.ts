/**
 * Triggers and indexes of the owner's that do not work, or of ours that are gone: they cost what
 * they are on, and neither the start of the daemon nor anything else.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { LaneLink } from '../../test/simulator/store/lane-link.ts'
import {
  deliver,
  eventsOf,
  inboxOf,
  laneTo,
  linkOf,
  pairOf,
} from '../../test/simulator/store/pair.ts'
import { insert } from '../../test/simulator/store/world.ts'

const byApplication = (on: string): string =>
  `CREATE TRIGGER app AFTER ${on} BEGIN SELECT app_function(1); END`

test('a trigger on mqin that does not compile lets the daemon start, send and say why', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  receiver.user.exec(byApplication('INSERT ON mqin'))
  receiver.crash()
  insert(sender, 'b', 'one')
  const link = linkOf(pair)
  link.settle(20)
  const ended = link.ended
  ok(ended?.type === 'rejected')
  match(ended.reason, /no such function: app_function/)
  deepEqual(eventsOf(receiver), ['INBOX_FAILED'])
  // What this node sends is not touched.
  insert(receiver, 'a', 'back')
  const back = new LaneLink({ from: receiver, to: sender, lane: laneTo(receiver, 'a') })
  ok(back.settle())
  deepEqual(inboxOf(sender), ['back'])
  receiver.user.exec('DROP TRIGGER app')
  const again = linkOf(pair)
  ok(again.settle())
  deepEqual(inboxOf(receiver), ['one'])
})

test('a trigger on mqout that does not compile lets the daemon start and send', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  sender.user.exec(byApplication('DELETE ON mqout'))
  sender.crash()
  deliver(pair, 'one', 'two')
  deepEqual(inboxOf(receiver), ['one', 'two'])
  ok(eventsOf(sender).includes('OUTBOX_FAILED'))
})

test('a message that a trigger cannot deal with is parked, and those behind it arrive', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  receiver.user.exec(`CREATE TABLE o (sku); CREATE TRIGGER app AFTER INSERT ON mqin
    BEGIN INSERT INTO o VALUES (json_extract(NEW.data, '$.sku')); END`)
  for (const data of ['{"sku":1}', 'no json', '{"sku":2}']) insert(sender, 'b', data)
  for (let tries = 0; tries < 4; tries++) {
    const link = linkOf(pair)
    link.settle(30)
    link.drop()
  }
  deepEqual(inboxOf(receiver), ['{"sku":1}', '{"sku":2}'])
  const parked = sender.all('SELECT id, code, reason FROM mqparked')
  deepEqual(parked, [{ id: 2, code: 'TINYMQ_REFUSED', reason: 'malformed JSON' }])
  // Who can fix it may be at the other end.
  const [event] = receiver.all('SELECT code, detail FROM mqevent')
  equal(event?.['code'], 'TINYMQ_REFUSED')
  match(String(event['detail']), /message 2 .*malformed JSON/)
})

test('triggers and indexes of ours that are dropped are made again at once', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  insert(sender, 'b', 'one')
  laneTo(sender)
  sender.user.exec(`BEGIN; DROP TRIGGER mqout_check; DROP INDEX mqout_lane; DROP VIEW mqstuck;
    INSERT INTO mqout (host, data) VALUES (NULL, 'x'), ('b', NULL), (x'62', 'x');
    INSERT INTO mqout (host, port, data) VALUES ('b', 'p', 'x'), ('b', NULL, 'x'), ('b', 0, 'x');
    INSERT INTO mqout (host, data) VALUES ('b', 'two'); COMMIT`)
  deliver(pair)
  deepEqual(inboxOf(receiver), ['one', 'two'])
  deepEqual(eventsOf(sender), ['SCHEMA_REPAIRED'])
  const parked = sender.all('SELECT code FROM mqparked ORDER BY id').map(({ code }) => code)
  deepEqual(parked, [
    'TINYMQ_INVALID_HOST',
    'TINYMQ_NO_DATA',
    'TINYMQ_INVALID_HOST',
    'TINYMQ_INVALID_PORT',
    'TINYMQ_INVALID_PORT',
    'TINYMQ_INVALID_PORT',
  ])
  // They stay parked when their time has come, and a row like them is rejected again.
  sender.nowMs += 2 * 3_600_000
  sender.run({ type: 'scan' })
  sender.nowMs += 2_000
  sender.run({ type: 'scan' })
  equal(sender.all('SELECT 1 FROM mqparked').length, 6)
  equal(sender.all('SELECT 1 FROM mqrequeue').length, 0)
  deepEqual(
    sender.all('SELECT host FROM mqlane').map(({ host }) => host),
    ['b'],
  )
  ok(linkOf(pair).settle())
})

test('a message that fails at COMMIT alone is parked, and nobody else waits', (t) => {
  const pair = pairOf(t)
  const { world, sender, receiver } = pair
  const other = world.machine()
  t.after(() => other.close())
  receiver.user.exec(`CREATE TABLE skus (sku PRIMARY KEY);
    CREATE TABLE orders (sku REFERENCES skus DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER app AFTER INSERT ON mqin
      BEGIN INSERT INTO orders SELECT NEW.data WHERE NEW.data = 'no sku'; END`)
  for (const data of ['one', 'two', 'no sku', 'three']) insert(sender, 'b', data)
  insert(other, 'b', 'other')
  for (let tries = 0; tries < 8; tries++) {
    const link = linkOf(pair)
    link.settle(60)
    link.drop()
    const beside = new LaneLink({ from: other, to: receiver, lane: laneTo(other) })
    beside.settle(60)
    beside.drop()
  }
  deepEqual(new Set(inboxOf(receiver)), new Set(['one', 'two', 'three', 'other']))
  equal(inboxOf(receiver).length, 4)
  const parked = sender.all('SELECT id, code, reason FROM mqparked')
  const reason = 'FOREIGN KEY constraint failed'
  deepEqual(parked, [{ id: 3, code: 'TINYMQ_REFUSED', reason }])
})

test('a row of the inbox with the largest id is reported as that, not as a full disk', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  const largest = '9223372036854775807'
  receiver.user.exec(`INSERT INTO mqin (id, data) VALUES (${largest}, 'mine')`)
  insert(sender, 'b', 'one')
  linkOf(pair).settle(20)
  const { fault } = receiver.store
  deepEqual([fault?.level, fault?.code], ['error', 'TINYMQ_IDS_SPENT'])
  match(fault?.sentence ?? '', /^a row of mqin has the largest id/)
  match(fault?.hint ?? '', /UPDATE sqlite_sequence/)
  receiver.user.exec(`UPDATE mqin SET id = 7 WHERE id = ${largest};
    UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM mqin) WHERE name = 'mqin'`)
  ok(linkOf(pair).settle())
  deepEqual(inboxOf(receiver), ['mine', 'one'])
})

const ways = {
  fails: "SELECT json('{')",
  'ends the transaction': "SELECT RAISE(ROLLBACK, 'malformed JSON')",
  'fails at COMMIT': "INSERT INTO orders VALUES ('no sku')",
} as const
for (const [way, action] of Object.entries(ways)) {
  for (const [table, on] of [
    ['mqevent', 'INSERT ON mqevent'],
    ['mqlane', 'UPDATE OF state ON mqlane'],
  ] as const) {
    test(`a trigger on ${table} that ${way} keeps no row, and is reported`, (t) => {
      const pair = pairOf(t)
      const { sender, receiver } = pair
      deliver(pair, 'zero')
      sender.user.exec(`CREATE TABLE skus (sku PRIMARY KEY);
        CREATE TABLE orders (sku REFERENCES skus DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER app AFTER ${on} BEGIN ${action}; END`)
      sender.nowMs += 2_000
      sender.run({ type: 'event', code: 'CHECK', detail: 'planted' })
      const { lane } = laneTo(sender)
      sender.run({ type: 'lane-status', lane, status: { type: 'connecting' } })
      // Two turns may fail: one at its COMMIT, and one more, alone, that shows what it was.
      for (let turns = 0; turns < 3; turns++) {
        sender.nowMs += 2_000
        sender.run({ type: 'scan' })
      }
      deliver(pair, 'one')
      deepEqual(inboxOf(receiver), ['zero', 'one'])
      sender.run({ type: 'event', code: 'CHECK', detail: 'planted' })
      sender.nowMs += 2_000
      sender.run({ type: 'lane-status', lane, status: { type: 'idle' } })
      const { fault } = sender.store
      deepEqual([fault?.level, fault?.code], ['warn', 'TINYMQ_SQLITE'])
      const said = way === 'fails at COMMIT' ? 'FOREIGN KEY' : 'malformed JSON'
      match(fault?.sentence ?? '', new RegExp(`^${table} cannot be written: ${said}`))
      // When it is gone, what it kept from the table is written again.
      sender.user.exec('DROP TRIGGER app')
      sender.run({ type: 'event', code: 'AFTER', detail: 'planted' })
      sender.nowMs += 2_000
      const status = { type: 'waiting', code: 'SINCE', reason: 'planted', retryInUs: 0 } as const
      sender.run({ type: 'lane-status', lane, status })
      ok(eventsOf(sender).includes('AFTER'))
      deepEqual(sender.all('SELECT error_code FROM mqlane'), [{ error_code: 'SINCE' }])
    })
  }
}
