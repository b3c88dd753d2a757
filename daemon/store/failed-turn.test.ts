/**
 * A turn that fails leaves nothing behind: not in memory, not in the core's sessions.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { closeCode } from '../protocol/codec/frame.ts'
import { encodeMessage } from './record.ts'
import type { SessionId } from '../protocol/store-messages.ts'
import { Writer } from '../protocol/codec/buffer.ts'
import { LaneLink } from '../../test/simulator/store/lane-link.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import { eventsOf, inboxOf, laneTo, pairOf, ReaderAlone } from '../../test/simulator/store/pair.ts'
import { insert } from '../../test/simulator/store/world.ts'

const full = { code: 'SQLITE_FULL', rollsBack: true }

const record = (number: number, token: string): Uint8Array => {
  const writer = new Writer(200)
  const data = Buffer.from(`message ${number}`)
  const uid = Buffer.alloc(16, number)
  const rest = { timeMs: 1, headers: undefined, digest: undefined, isText: true }
  encodeMessage(writer, { uid, row: number, token, data, ...rest })
  return writer.written
}

const accept = (receiver: Machine, session: SessionId): void => {
  const ids = { databaseId: Buffer.alloc(16, 3), stream: Buffer.alloc(16, 4) }
  receiver.run({
    type: 'accept',
    session,
    key: '',
    confirmed: 0,
    mustBeKnown: false,
    host: 'c',
    port: 9000,
    ...ids,
  })
}

const receive = (receiver: Machine, session: SessionId, offset: number, bytes: Uint8Array): void =>
  receiver.run({ type: 'receive', session, offset, bytes, spillBytes: 1_000_000 })

const picky = `CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.token = 'bad'
  BEGIN SELECT RAISE(ABORT, 'not this one'); END`

/** What is reported to a session, as types and codes. */
const saidTo = (machine: Machine, session: SessionId): string[] => {
  const said: string[] = []
  for (let one = machine.take(session); one !== undefined; one = machine.take(session)) {
    said.push('code' in one ? `${one.type} ${one.code}` : one.type)
  }
  return said
}

for (const [name, isMeant] of [
  ['when a run is numbered', (sql: string) => sql.includes('INSERT INTO mqbatch')],
  ['when a lane is written', (sql: string) => sql.includes('UPDATE mqlane SET stream')],
  ['at COMMIT', (sql: string) => sql === 'COMMIT'],
] as const) {
  test(`rows of a lane whose turn has failed ${name} leave in no other lane`, (t) => {
    const { sender, receiver } = pairOf(t)
    for (const text of ['secret 1', 'secret 2']) insert(sender, 'a', text)
    for (const text of ['one', 'two']) insert(sender, 'b', text)
    const first = new ReaderAlone(sender, laneTo(sender, 'a'))
    first.checkIdentity({})
    first.read()
    first.forget()
    // Two are numbered and go into the answer first; then these have to be.
    for (let rows = 0; rows < 100; rows++) insert(sender, 'a', 'more for a')
    const again = new ReaderAlone(sender, laneTo(sender, 'a'))
    again.checkIdentity({})
    sender.faults.once(isMeant, full)
    sender.run({ type: 'read', session: again.session, bytesMax: 65_536 })
    deepEqual(saidTo(sender, again.session), ['session-invalidated TINYMQ_DISK_FULL'])
    equal(sender.faults.injected, 1)
    const link = new LaneLink({ from: sender, to: receiver, lane: laneTo(sender, 'b') })
    ok(link.settle())
    deepEqual(inboxOf(receiver), ['one', 'two'])
    deepEqual(eventsOf(sender), ['TINYMQ_DISK_FULL'])
    equal(sender.all("SELECT 1 FROM mqout WHERE host = 'a'").length, 102)
  })
}

test('a session that was turned away in a failed turn is ended by its answer', (t) => {
  const { receiver } = pairOf(t)
  receiver.user.exec(picky)
  accept(receiver, 5)
  deepEqual(saidTo(receiver, 5), ['accepted'])
  receiver.faults.once((sql) => sql === 'COMMIT', full)
  receive(receiver, 5, 0, Buffer.concat([record(1, 'good'), record(2, 'bad')]))
  deepEqual(saidTo(receiver, 5), [`rejected ${closeCode.store}`])
  deepEqual(inboxOf(receiver), [])
})

test('a session that was superseded in a failed turn is ended by its answer', (t) => {
  const { receiver } = pairOf(t)
  accept(receiver, 5)
  saidTo(receiver, 5)
  receiver.faults.once((sql) => sql === 'COMMIT', full)
  accept(receiver, 6)
  deepEqual(saidTo(receiver, 5), [`rejected ${closeCode.store}`])
  deepEqual(saidTo(receiver, 6), [`rejected ${closeCode.store}`])
})

test('a session that was lost in a turn that fails is reported once, and after that never', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x'.repeat(10_000_000))
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({})
  reader.read()
  // The row is deleted while it is being sent, and the turn that notices fails.
  sender.user.exec('DELETE FROM mqout')
  sender.faults.once((sql) => sql === 'COMMIT', full)
  for (let reads = 0; reads < 60 && sender.faults.injected === 0; reads++) {
    sender.run({ type: 'read', session: reader.session, bytesMax: 262_144 })
  }
  const said = saidTo(sender, reader.session)
  equal(said.filter((type) => type.startsWith('session-invalidated')).length, 1)
  equal(said.at(-1), 'session-invalidated TINYMQ_DISK_FULL')
  sender.faults.once((sql) => sql === 'BEGIN IMMEDIATE', { code: 'SQLITE_NOMEM', rollsBack: true })
  sender.run({ type: 'event', code: 'X', detail: 'x' })
  deepEqual(saidTo(sender, reader.session), [])
})

test('sessions that were asked for behind the failed work are ended too, and stay so', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'a', 'one')
  insert(sender, 'b', 'two')
  const reader = new ReaderAlone(sender, laneTo(sender, 'a'))
  reader.checkIdentity({})
  const { lane } = laneTo(sender, 'b')
  sender.faults.once((sql) => sql.includes('INSERT INTO mqbatch'), full)
  sender.run(
    { type: 'read', session: reader.session, bytesMax: 1_000 },
    { type: 'open-lane', lane, session: 77 },
    { type: 'event', code: 'X', detail: 'an event' },
  )
  deepEqual(saidTo(sender, 77), ['session-invalidated TINYMQ_DISK_FULL'])
  deepEqual(eventsOf(sender), ['TINYMQ_DISK_FULL', 'X'])
})

test('after a failed turn each lane is named again, or is reported to be empty', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'a', 'one')
  insert(sender, 'b', 'two')
  const [toA, toB] = [laneTo(sender, 'a'), laneTo(sender, 'b')]
  sender.faults.once((sql) => sql.includes('INSERT INTO mqevent'), full)
  sender.run({ type: 'event', code: 'X', detail: 'x' })
  sender.user.exec("DELETE FROM mqout WHERE host = 'a'")
  sender.news.length = 0
  sender.run({ type: 'scan' })
  deepEqual(sender.news, [
    { type: 'lanes', lanes: [toB] },
    { type: 'drained', lane: toA.lane },
  ])
})

test('after a failed turn nothing is compiled again, though it could not be', (t) => {
  const { sender, receiver } = pairOf(t)
  insert(sender, 'b', 'one')
  sender.faults.once((sql) => sql.includes('INSERT INTO mqevent'), full)
  sender.run({ type: 'event', code: 'X', detail: 'x' })
  // A statement on mqin does not compile any more: this store would not start.
  sender.user.exec(
    'CREATE TRIGGER broken AFTER INSERT ON mqin BEGIN SELECT no_such_function(); END',
  )
  const link = new LaneLink({ from: sender, to: receiver, lane: laneTo(sender) })
  ok(link.settle())
  deepEqual(inboxOf(receiver), ['one'])
})

test('a row whose trigger rolls the transaction back is rejected, and the others arrive', (t) => {
  const { receiver } = pairOf(t)
  receiver.user.exec(`CREATE TRIGGER drastic BEFORE INSERT ON mqin WHEN NEW.token = 'bad'
    BEGIN SELECT RAISE(ROLLBACK, 'never this one'); END`)
  const records = [1, 2, 3, 4].map((number) => record(number, number === 3 ? 'bad' : 'good'))
  const said: string[] = []
  for (const session of [1, 2, 3]) {
    accept(receiver, session)
    receive(receiver, session, 0, Buffer.concat(records))
    said.push(...saidTo(receiver, session))
  }
  deepEqual(said, [
    'accepted',
    `rejected ${closeCode.store}`,
    'accepted',
    `rejected ${closeCode.store}`,
    'accepted',
    'received',
    `rejected ${closeCode.refused}`,
  ])
  deepEqual(inboxOf(receiver), ['message 1', 'message 2'])
})
