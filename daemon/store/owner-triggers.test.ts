/**
 * Triggers of the database's owner that write to mqout inside the store's own transactions: the
 * triggers of mqout must see there what the store has done so far.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { encodeMessage } from './record.ts'
import type { LaneAddress } from '../protocol/store-messages.ts'
import { Writer } from '../protocol/codec/buffer.ts'
import { LaneLink } from '../../test/simulator/store/lane-link.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import {
  inboxOf,
  laneTo,
  linkOf,
  pairOf,
  ReaderAlone,
  show,
  type Pair,
} from '../../test/simulator/store/pair.ts'
import { insert } from '../../test/simulator/store/world.ts'

const inbound = 777

/** One turn in which the lane is read, and numbers rows, and then a message comes in. */
function readAndReceive({ sender, receiver }: Pair, lane: LaneAddress): ReaderAlone {
  const ids = { databaseId: Buffer.alloc(16, 3), stream: Buffer.alloc(16, 4) }
  const from = { key: '', confirmed: 0, mustBeKnown: false, host: 'c', port: 9000, ...ids }
  sender.run({ type: 'accept', session: inbound, ...from })
  const reader = new ReaderAlone(sender, lane)
  reader.checkIdentity({ database: receiver.databaseId })
  const writer = new Writer(200)
  const message = { uid: Buffer.alloc(16, 9), isText: true, row: 1, timeMs: 1, token: '' }
  encodeMessage(writer, {
    ...message,
    headers: undefined,
    digest: undefined,
    data: Buffer.from('m1'),
  })
  sender.run(
    { type: 'read', session: reader.session, bytesMax: 65_536 },
    { type: 'receive', session: inbound, offset: 0, bytes: writer.written, spillBytes: 65_536 },
  )
  return reader
}

function settleAll(sender: Machine, receiver: Machine, host: string): void {
  const link = new LaneLink({ from: sender, to: receiver, lane: laneTo(sender, host) })
  ok(link.settle())
  link.drop()
}

test('a row that a trigger replaces in the turn that numbers it is sent as well', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  sender.user.exec(`CREATE TRIGGER latest AFTER INSERT ON mqin BEGIN
    INSERT OR REPLACE INTO mqout (id, host, data) VALUES (1, 'b', 'state after ' || NEW.data); END`)
  insert(sender, 'b', 'state 0')
  const reader = readAndReceive(pair, laneTo(sender))
  deepEqual(sender.all('SELECT id FROM mqrequeue'), [{ id: 1 }])
  deepEqual(show(reader.records(reader.rows()?.bytes)), ['state 0'])
  // The peer has the row of before.
  reader.confirm(1)
  reader.forget()
  deepEqual(sender.all('SELECT data FROM mqout'), [{ data: 'state after m1' }])
  linkOf(pair).settle()
  ok(inboxOf(receiver).includes('state after m1'))
})

test('a row that a trigger inserts by a low id in the turn that numbers is sent', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  sender.user.exec(`CREATE TRIGGER answer AFTER INSERT ON mqin BEGIN
    INSERT INTO mqout (id, host, data) VALUES (5, 'b', 'answer to ' || NEW.data); END`)
  sender.user.exec("INSERT INTO mqout (id, host, data) VALUES (9, 'b', 'nine')")
  readAndReceive(pair, laneTo(sender)).forget()
  settleAll(sender, receiver, 'b')
  deepEqual(new Set(inboxOf(receiver)), new Set(['answer to m1', 'nine']))
})

for (const isNumbered of [false, true]) {
  const when = isNumbered ? 'after it was numbered' : 'before it is numbered'
  test(`a trigger that sends a row elsewhere when it is parked, ${when}, is heard`, (t) => {
    const { sender, receiver } = pairOf(t)
    insert(sender, 'b', 'x'.repeat(2_000))
    insert(sender, 'b', 'small')
    if (isNumbered) {
      const first = new ReaderAlone(sender, laneTo(sender))
      first.checkIdentity({ database: receiver.databaseId })
      first.read()
      first.forget()
    }
    sender.user.exec(`CREATE TRIGGER elsewhere AFTER INSERT ON mqparked BEGIN
      UPDATE mqout SET host = 'c' WHERE id = NEW.id; END`)
    const reader = new ReaderAlone(sender, laneTo(sender))
    reader.checkIdentity({ database: receiver.databaseId, messageBytesMax: 1_000 })
    const records = reader.records(reader.read()?.bytes)
    equal(records.at(-1)?.type, 'message')
    reader.forget()
    deepEqual(sender.all('SELECT id FROM mqparked'), [])
    settleAll(sender, receiver, 'c')
    equal(String(inboxOf(receiver)[0]).length, 2_000)
  })
}
