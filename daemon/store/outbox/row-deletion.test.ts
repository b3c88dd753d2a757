/**
 * Rows that the peer has, and that an object of the owner's keeps in `mqout`: each kind of object,
 * one row among others, and another peer next to it.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { LaneLink } from '../../../test/simulator/store/lane-link.ts'
import type { Machine } from '../../../test/simulator/store/machine.ts'
import { eventsOf, inboxOf, laneTo, pairOf } from '../../../test/simulator/store/pair.ts'
import { insert } from '../../../test/simulator/store/world.ts'

type Keeper = {
  readonly what: string
  /** Row 2 of mqout is the one that it keeps. */
  readonly sql: string
  readonly fix: string
  readonly says: RegExp
  /** It keeps every row. */
  readonly isOfAll?: boolean
  /** It ends the transaction, and with it a session. */
  readonly rollsBack?: boolean
}

const notes = (action: string): string =>
  `CREATE TABLE notes (mq INTEGER REFERENCES mqout(id) ${action}); INSERT INTO notes VALUES (2)`
const trigger = (body: string): string =>
  `CREATE TRIGGER keeper BEFORE DELETE ON mqout ${body}; END`

const keepers: readonly Keeper[] = [
  {
    what: 'a foreign key',
    sql: notes(''),
    fix: 'DELETE FROM notes',
    says: /foreign key refers to it/,
  },
  {
    what: 'a foreign key that is checked at COMMIT',
    sql: notes('DEFERRABLE INITIALLY DEFERRED'),
    fix: 'DELETE FROM notes',
    says: /foreign key refers to it/,
  },
  {
    what: 'a foreign key that restricts',
    sql: notes('ON DELETE RESTRICT'),
    fix: 'DROP TABLE notes',
    says: /FOREIGN KEY constraint failed/,
  },
  {
    what: 'a trigger that rejects a row',
    sql: trigger("WHEN OLD.id = 2 BEGIN SELECT RAISE(ABORT, 'not this one')"),
    fix: 'DROP TRIGGER keeper',
    says: /not this one/,
  },
  {
    what: 'a trigger that ignores a row',
    sql: trigger('WHEN OLD.id = 2 BEGIN SELECT RAISE(IGNORE)'),
    fix: 'DROP TRIGGER keeper',
    says: /a trigger on mqout ignores its deletion/,
  },
  {
    what: 'a trigger that rolls back',
    sql: trigger("WHEN OLD.id = 2 BEGIN SELECT RAISE(ROLLBACK, 'never')"),
    fix: 'DROP TRIGGER keeper',
    says: /never/,
    isOfAll: true,
    rollsBack: true,
  },
  {
    what: 'a trigger whose row has no parent at COMMIT',
    sql: `CREATE TABLE audit (sku REFERENCES skus DEFERRABLE INITIALLY DEFERRED);
      CREATE TABLE skus (sku PRIMARY KEY);
      ${trigger('WHEN OLD.id = 2 BEGIN INSERT INTO audit VALUES (7)')}`,
    fix: 'DROP TRIGGER keeper',
    says: /FOREIGN KEY constraint failed/,
    isOfAll: true,
    rollsBack: true,
  },
  {
    what: 'a foreign key of two columns that is checked at COMMIT',
    sql: `CREATE UNIQUE INDEX both ON mqout (id, token);
      CREATE TABLE notes (mq, t, FOREIGN KEY (mq, t) REFERENCES mqout (id, token)
        DEFERRABLE INITIALLY DEFERRED);
      INSERT INTO notes SELECT id, token FROM mqout WHERE id = 2`,
    fix: 'DROP TABLE notes',
    says: /FOREIGN KEY constraint failed/,
    isOfAll: true,
    rollsBack: true,
  },
  {
    what: 'a trigger that does not compile',
    sql: trigger('BEGIN SELECT app_function(OLD.id)'),
    fix: 'DROP TRIGGER keeper',
    says: /no such function: app_function/,
    isOfAll: true,
  },
  {
    what: 'a trigger that meets no JSON',
    sql: trigger("WHEN OLD.id = 2 BEGIN SELECT json_extract(OLD.data, '$.x')"),
    fix: 'DROP TRIGGER keeper',
    says: /malformed JSON/,
  },
]

function send(sender: Machine, receiver: Machine, host: string): void {
  const link = new LaneLink({ from: sender, to: receiver, lane: laneTo(sender, host) })
  ok(link.settle())
  link.drop()
}

function machines(t: TestContext): { sender: Machine; near: Machine; far: Machine } {
  const { world, sender, receiver: near } = pairOf(t)
  const far = world.machine()
  t.after(() => far.close())
  sender.user.pragma('foreign_keys = ON')
  for (const data of ['one', 'two', 'three']) insert(sender, 'b', data)
  insert(sender, 'c', 'far')
  return { sender, near, far }
}

const outbox = (sender: Machine): unknown[] =>
  sender.all('SELECT id FROM mqout ORDER BY id').map(({ id }) => id)

for (const { what, sql, fix, says, isOfAll = false, rollsBack = false } of keepers) {
  for (const restarts of [false, true]) {
    const then = restarts ? ', also after a restart' : ''
    test(`${what} keeps its row, and nothing else stands${then}`, (t) => {
      const { sender, near, far } = machines(t)
      sender.user.exec(sql)
      send(sender, near, 'b')
      if (restarts) sender.crash()
      send(sender, far, 'c')
      deepEqual(inboxOf(near), ['one', 'two', 'three'])
      deepEqual(inboxOf(far), ['far'])
      deepEqual(outbox(sender).includes(2), true)
      if (!isOfAll) deepEqual(outbox(sender), [2])
      // It is informed of, is not in flight for somebody who looks, and cannot be changed.
      ok(eventsOf(sender).includes('OUTBOX_FAILED'))
      const [event] = sender.all("SELECT detail FROM mqevent WHERE code = 'OUTBOX_FAILED'")
      match(String(event?.['detail']), says)
      const [status] = sender.all('SELECT state, reason FROM mqstatus WHERE id = 2')
      equal(status?.['state'], 'delivered')
      match(String(status['reason']), /OUTBOX_FAILED/)
      const stuck = sender.all("SELECT code, advice FROM mqstuck WHERE why = 'delivered'")
      equal(stuck.length, sender.all('SELECT 1 FROM mqout').length)
      equal(stuck[0]?.['code'], 'OUTBOX_FAILED')
      // Later rows go, and nothing comes twice.
      insert(sender, 'b', 'four')
      send(sender, near, 'b')
      deepEqual(inboxOf(near), ['one', 'two', 'three', 'four'])
      sender.user.exec(fix)
      sender.nowMs += rollsBack ? 3_700_000 : 11_000
      sender.run({ type: 'scan' })
      sender.nowMs += 11_000
      sender.run({ type: 'scan' })
      deepEqual(outbox(sender), [])
      equal(sender.all('SELECT 1 FROM mqbatch WHERE done_at IS NULL').length, 0)
      deepEqual(inboxOf(near), ['one', 'two', 'three', 'four'])
    })
  }
}

test('a row that is kept goes to its peer once, though keys are given meanwhile', (t) => {
  const { sender, near } = machines(t)
  sender.user.exec(notes(''))
  send(sender, near, 'b')
  deepEqual(outbox(sender).includes(2), true)
  sender.restartWith({ type: 'keys', keylessTokens: ['token'] })
  near.restartWith({ type: 'keys', keylessTokens: ['token'] })
  insert(sender, 'b', 'four')
  send(sender, near, 'b')
  deepEqual(inboxOf(near), ['one', 'two', 'three', 'four'])
})

test('a lane whose rows are all at the peer rests, until there is a new one', (t) => {
  const { sender, near } = machines(t)
  sender.user.exec(notes(''))
  send(sender, near, 'b')
  /** As often as the core asks: a session that ends has the lane named again if it has rows. */
  const hostsNamed = (): string[] => {
    const all: string[] = []
    for (let time = 0; time < 3; time++) {
      sender.nowMs += 12_000
      const results = sender.store.run([{ type: 'scan' }], sender.nowMs)
      for (const one of results) {
        if (one.type === 'lanes') all.push(...one.lanes.map(({ host }) => host))
      }
    }
    return all
  }
  deepEqual(hostsNamed(), [])
  sender.crash()
  deepEqual(hostsNamed(), ['c'])
  deepEqual(outbox(sender), [2, 4])
  insert(sender, 'b', 'four')
  deepEqual(hostsNamed(), ['b'])
  send(sender, near, 'b')
  deepEqual(inboxOf(near), ['one', 'two', 'three', 'four'])
})

test('a row that is kept comes once, though its sender is restored meanwhile', (t) => {
  const { sender, near } = machines(t)
  sender.user.exec(notes(''))
  send(sender, near, 'b')
  const backup = `${sender.path}-backup`
  sender.backup(backup)
  insert(sender, 'b', 'four')
  send(sender, near, 'b')
  sender.restore(backup)
  insert(sender, 'b', 'five')
  send(sender, near, 'b')
  send(sender, near, 'b')
  deepEqual(inboxOf(near), ['one', 'two', 'three', 'four', 'five'])
})

test('a row that is kept is not lost in silence when its peer is restored', (t) => {
  const { sender, near } = machines(t)
  const backup = `${near.path}-backup`
  near.backup(backup)
  sender.user.exec(notes(''))
  send(sender, near, 'b')
  near.restore(backup)
  insert(sender, 'b', 'four')
  send(sender, near, 'b')
  send(sender, near, 'b')
  deepEqual(inboxOf(near), ['two', 'four'])
  deepEqual(eventsOf(sender), ['OUTBOX_FAILED', 'PEER_ROLLED_BACK'])
  const [event] = sender.all("SELECT detail FROM mqevent WHERE code = 'PEER_ROLLED_BACK'")
  match(String(event?.['detail']), /lost the messages 1 to 3/)
})

test('a lock that is held now and then, for a moment, is not one that is held for long', (t) => {
  const { sender, near } = machines(t)
  sender.user.exec(notes(''))
  send(sender, near, 'b')
  const { store, user } = sender
  // Each time it tries to delete the row that is kept, and has nothing else to write.
  for (let time = 0; time < 2; time++) {
    sender.nowMs += 20_000
    user.exec('BEGIN IMMEDIATE')
    deepEqual(store.run([], sender.nowMs), [])
    user.exec('ROLLBACK')
    ok(store.pauseUs > 0, 'the lock was in its way')
    equal(store.fault, undefined)
    store.run([], sender.nowMs)
  }
})
