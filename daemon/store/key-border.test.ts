/**
 * What the holder of one key says of another database has no effect on lanes under another key, and
 * fills nothing: tables, the log, events.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { closeCode } from '../protocol/codec/frame.ts'
import type { StoreResult } from '../protocol/store-messages.ts'
import type { StoreTask } from './store.ts'
import { establishedMin, streamsMax } from './inbox/senders.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import { eventsOf, inboxOf } from '../../test/simulator/store/pair.ts'
import {
  bytesOf,
  messageOf,
  databaseId,
  skipOf,
  Talker,
} from '../../test/simulator/store/talker.ts'
import { World } from '../../test/simulator/store/world.ts'

function keyedReceiver(t: TestContext): Machine {
  const machine = World.of(t).machine()
  machine.restartWith({ type: 'keys', keylessTokens: ['free'] })
  t.after(() => machine.close())
  return machine
}

const streamOf = (n: number): Buffer => Buffer.alloc(16, n)

/** One stream under the key, that has brought message `n`. */
function bring(receiver: Machine, key: string, stream: number, n: number): Talker {
  const talker = new Talker(receiver)
  equal(talker.open({ key, stream: streamOf(stream) })?.type, 'accepted')
  talker.say(bytesOf(messageOf(n, `m${n}`, key)))
  return talker
}

test('the log of another key, with its times, does not hold a lane back', (t) => {
  const receiver = keyedReceiver(t)
  for (const stream of [1, 2]) bring(receiver, 'cb', stream, stream)
  receiver.user.exec('UPDATE mqsender SET history_expired_at = 9007199254740991')
  receiver.crash()
  const victim = new Talker(receiver)
  const opened = victim.open({ key: 'ab', stream: streamOf(3) })
  ok(opened?.type === 'accepted')
  equal(opened.logStart, 0)
  // Under its own key it counts.
  const own = new Talker(receiver).open({ key: 'cb', stream: streamOf(4) })
  ok(own?.type === 'accepted')
  equal(own.logStart, 9007199254740991)
})

test('what came without a key holds no lane under a key back', (t) => {
  const receiver = keyedReceiver(t)
  const talker = new Talker(receiver)
  talker.open({ key: '', stream: streamOf(1) })
  talker.say(bytesOf(messageOf(1, 'm1', 'free')))
  receiver.user.exec('UPDATE mqsender SET history_expired_at = 9007199254740991')
  receiver.crash()
  const opened = new Talker(receiver).open({ key: 'ab', stream: streamOf(3) })
  ok(opened?.type === 'accepted')
  equal(opened.logStart, 0)
})

test('a uid that came under another key suppresses nothing, though both were restored', (t) => {
  const receiver = keyedReceiver(t)
  for (const stream of [1, 2]) bring(receiver, 'cb', stream, 7)
  bring(receiver, 'ab', 3, 5)
  bring(receiver, 'ab', 4, 7)
  deepEqual(inboxOf(receiver), ['m7', 'm5', 'm7'])
  // Under one key it is known.
  bring(receiver, 'ab', 5, 7)
  equal(inboxOf(receiver).length, 3)
})

test('an OPEN alone leaves nothing behind, and the stream begins with its first message', (t) => {
  const receiver = keyedReceiver(t)
  const talkers = Array.from({ length: 100 }, (_, n) => {
    const talker = new Talker(receiver)
    equal(talker.open({ key: 'ab', stream: streamOf(n) })?.type, 'accepted')
    return talker
  })
  equal(receiver.all('SELECT * FROM mqsender').length, 0)
  talkers[1]?.say(bytesOf(messageOf(1, 'm1', 'ab')))
  const [row] = receiver.all('SELECT key, watermark, host, port FROM mqsender')
  deepEqual(row, { key: 'ab', watermark: 1, host: 'sender', port: 9000 })
  // Another session of a stream that has none yet supersedes the first one.
  const again = new Talker(receiver)
  again.open({ key: 'ab', stream: streamOf(2) })
  equal(talkers[2]?.heard()[0]?.type, 'superseded')
})

test('a stream that has brought much is not pushed out by many that bring little', (t) => {
  const receiver = keyedReceiver(t)
  const owner = bring(receiver, 'ab', 255, 1)
  owner.say(bytesOf(messageOf(2, 'm2', 'ab')))
  receiver.run({ type: 'release-session', session: owner.session })
  receiver.nowMs += 60_000
  const claimants = Array.from({ length: 2 * streamsMax }, (_, n) => {
    receiver.nowMs += 10
    return bring(receiver, 'ab', n, n + 10)
  })
  equal(receiver.all('SELECT * FROM mqsender').length, streamsMax)
  const left = claimants.filter((it) => it.heard().at(-1)?.type !== 'rejected')
  equal(left.length, streamsMax - 1, 'each has taken the place of the oldest of them')
  const again = new Talker(receiver).open({ key: 'ab', stream: streamOf(255), confirmed: 2 })
  ok(again?.type === 'accepted')
  equal(again.watermark, 2)
})

test('a database that was restored sends, whoever claims its id', (t) => {
  const receiver = keyedReceiver(t)
  const claimants = Array.from({ length: streamsMax }, (_, n) => bring(receiver, 'ab', n, n + 1))
  const before = inboxOf(receiver).length
  const owner = bring(receiver, 'ab', 200, 200)
  deepEqual(inboxOf(receiver).slice(before), ['m200'])
  const [said] = claimants[0]?.heard() ?? []
  ok(said?.type === 'rejected' && said.code === closeCode.closed, 'it has made room')
  // Each of the others that returns takes the place of one that has brought less than the owner.
  owner.say(bytesOf(messageOf(201, 'm201', 'ab')))
  for (let n = 0; n < streamsMax; n++) bring(receiver, 'ab', n + 100, n + 100)
  owner.say(bytesOf(messageOf(202, 'm202', 'ab')))
  equal(inboxOf(receiver).at(-1), 'm202')
  deepEqual(eventsOf(receiver), [])
})

test('a database has so many established streams under a key: others go on', (t) => {
  const receiver = keyedReceiver(t)
  for (let n = 1; n <= streamsMax; n++) {
    const talker = bring(receiver, 'cb', n, n)
    const more = Array.from({ length: establishedMin - 1 }, (_, at) =>
      bytesOf(messageOf(1_000 * n + at, 'more', 'cb')),
    )
    talker.say(Buffer.concat(more))
  }
  const before = inboxOf(receiver).length
  const talker = new Talker(receiver)
  talker.open({ key: 'cb', stream: streamOf(200) })
  const said = talker.say(bytesOf(messageOf(200, 'm', 'cb'))).at(-1)
  ok(said?.type === 'rejected' && said.code === closeCode.closed)
  match(said.reason, /64 streams of this sender's database are open/)
  equal(receiver.all('SELECT * FROM mqsender').length, streamsMax)
  deepEqual(eventsOf(receiver), ['TINYMQ_INBOX_CLOSED'])
  bring(receiver, 'ab', 1, 201)
  equal(inboxOf(receiver).length, before + 1)
})

test('a database that is restored again and again brings what it has, and nothing twice', (t) => {
  const receiver = keyedReceiver(t)
  for (let n = 1; n <= 2 * streamsMax; n++) {
    receiver.nowMs += 20_000
    // What the backup had waiting comes again and again, and something new each time.
    const talker = bring(receiver, 'ab', n, 250)
    talker.say(bytesOf(messageOf(n, `new ${n}`, 'ab')))
    receiver.run({ type: 'release-session', session: talker.session })
  }
  equal(receiver.all('SELECT * FROM mqsender').length, streamsMax)
  const came = inboxOf(receiver)
  equal(came.length, 2 * streamsMax + 1)
  equal(came.filter((data) => data === 'm250').length, 1)
  deepEqual(eventsOf(receiver), [])
  // One that has given way returns: its watermark is gone, and its sender is informed by rule 4.
  const back = new Talker(receiver).open({ key: 'ab', stream: streamOf(1), confirmed: 2 })
  ok(back?.type === 'accepted')
  deepEqual([back.watermark, back.logStart], [0, 0])
})

test('while the uids of one database id fill the index, all others are served', (t) => {
  const receiver = keyedReceiver(t)
  bring(receiver, 'ab', 1, 1)
  const insert = receiver.user.prepare(
    `INSERT INTO mquidlog (sender, first, count, at, newest, uids)
     VALUES (1, ?, 2000, ?, 1, randomblob(32000))`,
  )
  for (let first = 2; first <= 20_000; first += 2_000) insert.run(first, receiver.nowMs)
  receiver.user.exec('UPDATE mqsender SET watermark = 20001 WHERE id = 1')
  receiver.crash()
  const acceptOf = (session: number, number: number, id: Buffer): StoreTask => ({
    type: 'accept',
    session,
    key: 'ab',
    databaseId: id,
    stream: streamOf(number),
    confirmed: 0,
    mustBeKnown: false,
    host: 'sender',
    port: 9000,
  })
  const { store, nowMs } = receiver
  deepEqual(store.run([acceptOf(1, 2, databaseId)], nowMs), [])
  for (let other = 3; other < 10; other++) {
    const [answer] = store.run([acceptOf(other, other, Buffer.alloc(16, other))], nowMs)
    ok(answer?.type === 'accepted' && answer.session === other, 'in the same turn')
  }
  const indexed = receiver.all('SELECT indexed FROM mqsender WHERE id = 1')[0]?.['indexed']
  equal(indexed, 8 * 200)
  // Nobody asks for anything: it goes on with whole transactions.
  let turns = 0
  for (let answers: readonly StoreResult[] = []; answers.length === 0; turns++) {
    ok(turns < 20, 'it ends')
    answers = store.run([], nowMs)
  }
  ok(turns <= 10)
})

test('behind a proxy only a database that is known goes on, and another one reads why', (t) => {
  const receiver = keyedReceiver(t)
  bring(receiver, '', 1, 1)
  bring(receiver, 'ab', 2, 2)
  const mustBeKnown = true
  const known = new Talker(receiver)
  // The same database after a restore: another stream.
  equal(known.open({ key: '', stream: streamOf(9), mustBeKnown })?.type, 'accepted')
  const own = { key: '', stream: streamOf(10), databaseId: receiver.databaseId, mustBeKnown }
  equal(new Talker(receiver).open(own)?.type, 'accepted')
  // One that this database sends to may answer.
  receiver.user
    .prepare("INSERT INTO mqlane (host, port, key, peer) VALUES ('there', 9000, ?, ?)")
    .run('', streamOf(66))
  const friend = { key: '', stream: streamOf(12), databaseId: streamOf(66), mustBeKnown }
  equal(new Talker(receiver).open(friend)?.type, 'accepted')
  const unknown = { key: '', stream: streamOf(11), databaseId: streamOf(77), mustBeKnown }
  const said = new Talker(receiver).open(unknown)
  ok(said?.type === 'rejected' && said.code === closeCode.closed)
  match(said.reason, /gateway.*key ring/)
  const detail = receiver.all('SELECT detail FROM mqevent').at(-1)?.['detail']
  match(String(detail), /this sender was turned away: a new sender without a key/)
})

test('unauthenticated peers that are turned away are reported some times an hour', (t) => {
  const receiver = keyedReceiver(t)
  const knock = (n: number, host = `unknown-${n}`): void => {
    const unknown = {
      key: '',
      stream: streamOf(n),
      databaseId: streamOf(n),
      mustBeKnown: true,
      host,
    }
    equal(new Talker(receiver).open(unknown)?.type, 'rejected')
  }
  const reported = (): number => eventsOf(receiver).length
  for (let n = 0; n < 5; n++) knock(n, 'the same')
  equal(reported(), 1)
  for (let n = 5; n < 45; n++) knock(n)
  ok(reported() <= 16, `${reported()} events`)
  receiver.nowMs += 3_600_001
  const before = reported()
  knock(50)
  equal(reported(), before + 1)
})

test('fifty thousand skipped sequences leave no row of the log', (t) => {
  const receiver = keyedReceiver(t)
  const talker = new Talker(receiver)
  talker.open({ key: 'cb' })
  for (let n = 0; n < 50; n++) talker.say(skipOf(...Array.from({ length: 1_000 }, () => n)))
  deepEqual(receiver.all('SELECT watermark FROM mqsender'), [{ watermark: 50_000 }])
  deepEqual(receiver.all('SELECT * FROM mquidlog'), [])
})

test('claims of a restore push no other event out, and are reported some times an hour', (t) => {
  const receiver = keyedReceiver(t)
  receiver.user.exec("INSERT INTO mqevent (at, code) VALUES (1, 'PEER_ROLLED_BACK')")
  const reported = (): number =>
    eventsOf(receiver).filter((code) => code === 'INBOX_ROLLED_BACK').length
  for (let n = 0; n < 40; n++) {
    new Talker(receiver).open({
      key: 'cb',
      stream: streamOf(n),
      confirmed: 5,
      databaseId: streamOf(n),
    })
  }
  equal(reported(), 16)
  new Talker(receiver).open({ key: 'ab', confirmed: 5, databaseId })
  equal(reported(), 17)
  receiver.user.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO mqevent (at, code) SELECT i, 'INBOX_ROLLED_BACK' FROM n`)
  receiver.run({ type: 'event', code: 'OTHER', detail: '' })
  const events = eventsOf(receiver)
  equal(events.length, 1_000)
  deepEqual([events[0], events.at(-1)], ['PEER_ROLLED_BACK', 'OTHER'])
})

test('parts that nobody goes on with are dropped after a day, those of a session are not', (t) => {
  const receiver = keyedReceiver(t)
  const body = messageOf(1, Buffer.alloc(400_000), 'ab')
  const begin = (stream: number): Talker => {
    const talker = new Talker(receiver)
    talker.open({ key: 'ab', stream: streamOf(stream), databaseId: streamOf(stream) })
    talker.say(bytesOf(body).subarray(0, 300_000))
    return talker
  }
  const [gone, staying] = [begin(1), begin(2)]
  receiver.run({ type: 'release-session', session: gone.session })
  const senders = (): unknown[] =>
    receiver
      .all('SELECT DISTINCT sender FROM mqfragment ORDER BY sender')
      .map((row) => row['sender'])
  deepEqual(senders(), [1, 2])
  receiver.nowMs += 23 * 3_600_000
  new Talker(receiver).open({ key: 'cb', stream: streamOf(3) })
  deepEqual(senders(), [1, 2])
  receiver.nowMs += 2 * 3_600_000
  new Talker(receiver).open({ key: 'cb', stream: streamOf(4) })
  deepEqual(senders(), [2])
  staying.say(bytesOf(body).subarray(300_000))
  equal(receiver.all('SELECT length(data) AS n FROM mqin')[0]?.['n'], 400_000)
})
