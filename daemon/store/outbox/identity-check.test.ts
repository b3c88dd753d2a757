import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { LaneLink } from '../../../test/simulator/store/lane-link.ts'
import {
  deliver,
  eventsOf,
  inboxOf,
  laneTo,
  linkOf,
  pairOf,
  ReaderAlone,
} from '../../../test/simulator/store/pair.ts'
import { insert } from '../../../test/simulator/store/world.ts'

test('rule 0: a database that answers itself from elsewhere is rejected', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  const lane = laneTo(sender)
  const said = new ReaderAlone(sender, lane).checkIdentity({ database: sender.databaseId })
  ok(said?.type === 'identity-checked' && said.decision.type === 'pause')
  equal(said.decision.code, 'TINYMQ_SELF_LOOP')
  deepEqual(eventsOf(sender), ['SELF_LOOP'])
})

test('rule 0: it is an event once an hour, however often it is found', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  const lane = laneTo(sender)
  for (const minutes of [0, 1, 30, 59, 61]) {
    sender.nowMs = 1_800_000_000_000 + minutes * 60_000
    new ReaderAlone(sender, lane).checkIdentity({ database: sender.databaseId })
  }
  deepEqual(eventsOf(sender), ['SELF_LOOP', 'SELF_LOOP'])
})

test('rule 0: a lane that has been with another database does not turn to its own', (t) => {
  const pair = pairOf(t)
  const { sender } = pair
  deliver(pair, 'a')
  insert(sender, 'b', 'b')
  const lane = laneTo(sender)
  const link = new LaneLink({ from: sender, to: sender, lane, addressIsOwn: true })
  link.settle()
  equal(link.held, 'TINYMQ_SELF_LOOP')
  match(
    String(sender.all('SELECT detail FROM mqevent')[0]?.['detail']),
    /so far the rows went to another one/,
  )
  deepEqual([inboxOf(sender), eventsOf(sender)], [[], ['SELF_LOOP']])
})

test('a node may send to itself', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'to myself')
  new LaneLink({ from: sender, to: sender, lane: laneTo(sender), addressIsOwn: true }).settle()
  deepEqual(inboxOf(sender), ['to myself'])
  deepEqual(sender.all('SELECT id FROM mqout'), [])
})

test('rule 1: the peer of the first contact is on disk before a row may leave', (t) => {
  const { sender } = pairOf(t)
  insert(sender, 'b', 'x')
  const said = new ReaderAlone(sender, laneTo(sender)).checkIdentity({})
  ok(said?.type === 'identity-checked' && said.decision.type === 'go')
  sender.crash()
  deepEqual(sender.all('SELECT peer FROM mqlane'), [{ peer: Buffer.alloc(16, 7) }])
})

test('rule 2: another database at the peer gets what waits, and the operator an event', (t) => {
  const pair = pairOf(t)
  deliver(pair, 'a')
  const other = pair.world.machine()
  t.after(() => other.close())
  insert(pair.sender, 'b', 'b')
  new LaneLink({ from: pair.sender, to: other, lane: laneTo(pair.sender) }).settle()
  deepEqual(inboxOf(other), ['b'])
  deepEqual(eventsOf(pair.sender), ['PEER_REPLACED'])
})

test('rule 4: what a restored peer has lost is named by its ids', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  deliver(pair, 'a', 'b')
  const backup = `${receiver.path}-backup`
  receiver.backup(backup)
  insert(sender, 'elsewhere', 'not of this lane')
  deliver(pair, 'c', 'd', 'e')
  receiver.restore(backup)
  deliver(pair, 'f')
  deepEqual(inboxOf(receiver), ['a', 'b', 'f'])
  deepEqual(eventsOf(sender), ['PEER_ROLLED_BACK'])
  const [event] = sender.all('SELECT host, port, detail FROM mqevent')
  deepEqual([event?.['host'], event?.['port']], ['b', 9000])
  match(String(event?.['detail']), /lost the messages 3 to 5 .* mqout\.id 4-6\./)
  deepEqual(eventsOf(receiver), ['INBOX_ROLLED_BACK'])
})

test('rule 4: what is not known any more is counted', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  const backup = `${receiver.path}-backup`
  receiver.backup(backup)
  deliver(pair, 'a')
  deliver(pair, 'b', 'c')
  sender.user.exec('DELETE FROM mqbatch WHERE first = 1')
  receiver.restore(backup)
  deliver(pair)
  deliver(pair, 'd')
  match(String(sender.all('SELECT detail FROM mqevent')[0]?.['detail']), /mqout\.id 2-3; of 1 more/)
})

test('rule 5: a restored sender begins again, and nothing comes twice', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  deliver(pair, 'a')
  insert(sender, 'b', 'b')
  const backup = `${sender.path}-backup`
  sender.backup(backup)
  deliver(pair, 'c')
  sender.restore(backup)
  deliver(pair, 'd')
  deepEqual(inboxOf(receiver), ['a', 'b', 'c', 'd'])
  deepEqual(eventsOf(sender), ['SELF_ROLLED_BACK'])
})

test('rule 6: two copies of a database are distinguished, each delivers its own rows', (t) => {
  const pair = pairOf(t)
  const { world, sender, receiver } = pair
  deliver(pair, 'a')
  insert(sender, 'b', 'both')
  const backup = `${sender.path}-backup`
  sender.backup(backup)
  const copy = world.copy(backup)
  t.after(() => copy.close())
  insert(sender, 'b', 'of the first')
  insert(copy, 'b', 'of the copy')
  linkOf(pair).settle()
  // The copy has given the same numbers, but to other rows.
  const reader = new ReaderAlone(copy, laneTo(copy))
  reader.checkIdentity({ database: receiver.databaseId })
  reader.read()
  reader.forget()
  new LaneLink({ from: copy, to: receiver, lane: laneTo(copy) }).settle()
  deepEqual(inboxOf(receiver), ['a', 'both', 'of the first', 'of the copy'])
  deepEqual(eventsOf(copy), ['SELF_FORKED'])
})

test('rule 7: rows that are at the peer already are freed by its OPENED', (t) => {
  const pair = pairOf(t)
  const { sender, receiver } = pair
  for (const data of ['a', 'b', 'c']) insert(sender, 'b', data)
  const link = linkOf(pair)
  for (let steps = 0; inboxOf(receiver).length === 0; steps++) link.step(1_000, 1_000)
  sender.crash()
  link.onCrash()
  sender.user.exec("DELETE FROM mqout WHERE data = 'b'")
  linkOf(pair).settle()
  deepEqual(inboxOf(receiver), ['a', 'b', 'c'])
  deepEqual(sender.all('SELECT id FROM mqout'), [])
})

test('rule 9: a row as old as what the peer has forgotten holds the lane for its operator', (t) => {
  const { sender } = pairOf(t)
  sender.user.exec(
    "INSERT INTO mqout (host, token, created_at, data) VALUES ('b', 'token', 500, 'old')",
  )
  const first = new ReaderAlone(sender, laneTo(sender))
  first.checkIdentity({ logStart: 600 })
  sender.run({ type: 'read', session: first.session, bytesMax: 1_000 })
  const said = sender.take(first.session)
  ok(said?.type === 'identity-checked' && said.decision.type === 'pause')
  equal(said.decision.code, 'TINYMQ_AMBIGUOUS')
  match(said.decision.reason, /requested = 'resend' WHERE id = 1/)
  deepEqual(eventsOf(sender), ['AMBIGUOUS'])
  first.forget()
  sender.user.exec("UPDATE mqlane SET requested = 'resend' WHERE id = 1")
  sender.nowMs += 2_000
  sender.news.length = 0
  sender.run({ type: 'scan' })
  ok(sender.news.some((news) => news.type === 'retry-requested' && news.lane === 1))
  const second = new ReaderAlone(sender, laneTo(sender))
  second.checkIdentity({ logStart: 600 })
  equal(second.read()?.lastSequence, 1)
  deepEqual(sender.all('SELECT requested, resend_before FROM mqlane'), [
    { requested: null, resend_before: 600 },
  ])
})

test('rule 9: newer rows go without asking', (t) => {
  const { sender } = pairOf(t)
  sender.user.exec("INSERT INTO mqout (host, created_at, data) VALUES ('b', 700, 'new')")
  const reader = new ReaderAlone(sender, laneTo(sender))
  reader.checkIdentity({ logStart: 600 })
  equal(reader.read()?.lastSequence, 1)
})

test('a lane whose runs somebody has deleted begins a new stream', (t) => {
  const pair = pairOf(t)
  insert(pair.sender, 'b', 'x')
  const reader = new ReaderAlone(pair.sender, laneTo(pair.sender))
  reader.checkIdentity({ database: pair.receiver.databaseId })
  reader.read()
  pair.sender.crash()
  pair.sender.user.exec('DELETE FROM mqbatch')
  linkOf(pair).settle()
  deepEqual(inboxOf(pair.receiver), ['x'])
})
