import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { LaneAddress } from '../protocol/store-messages.ts'
import type { KeyPolicyChoice } from './key-policy.ts'
import { LaneLink } from '../../test/simulator/store/lane-link.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import { ReaderAlone } from '../../test/simulator/store/pair.ts'
import { insert, lanesOf, World } from '../../test/simulator/store/world.ts'

const labels: KeyPolicyChoice = { type: 'keyless' }
const keys = (...keylessTokens: string[]): KeyPolicyChoice => ({ type: 'keys', keylessTokens })

type Pair = { readonly a: Machine; readonly b: Machine; readonly world: World }

function pairOf(t: TestContext, ofA: KeyPolicyChoice, ofB = ofA): Pair {
  const world = World.of(t)
  const [a, b] = [world.machine(), world.machine()]
  t.after(() => {
    a.close()
    b.close()
  })
  a.restartWith(ofA)
  b.restartWith(ofB)
  return { a, b, world }
}

const named = (lanes: readonly LaneAddress[]): string[] =>
  lanes.map(({ host, port, key }) => `${host}:${port} ${key}`).toSorted()

function linkOf({ a, b }: Pair, lane: LaneAddress): LaneLink {
  return new LaneLink({ from: a, to: b, lane })
}

/** Everything that may go by now. */
function deliver(pair: Pair): LaneLink[] {
  const links = lanesOf(pair.a).map((lane) => linkOf(pair, lane))
  for (const link of links) {
    link.settle()
    link.drop()
  }
  return links
}

const inboxOf = (machine: Machine): string[] =>
  machine
    .all('SELECT token, data FROM mqin ORDER BY id')
    .map(({ token, data }) => `${String(token)} ${String(data)}`)

const statusOf = (machine: Machine): unknown[] =>
  machine.all('SELECT token, state, reason FROM mqstatus ORDER BY id')

test('without a key ring all tokens share a lane, with one each has its own', (t) => {
  const pair = pairOf(t, labels)
  for (const token of ['x', '', 'y', 'x']) insert(pair.a, 'b', token, token)
  deepEqual(named(lanesOf(pair.a)), ['b:9000 '])
  pair.a.restartWith(keys())
  deepEqual(named(lanesOf(pair.a)), ['b:9000 (no token)', 'b:9000 x', 'b:9000 y'])
})

test('tokens that need no key share the lane without one, in the order of their rows', (t) => {
  const pair = pairOf(t, keys('x', '', 'z'))
  for (let row = 0; row < 400; row++) insert(pair.a, 'b', `${row}`, ['x', '', 'y', 'z'][row % 4])
  deepEqual(named(lanesOf(pair.a)), ['b:9000 ', 'b:9000 y'])
  pair.a.crash()
  deliver(pair)
  const without = inboxOf(pair.b).filter((row) => !row.startsWith('y '))
  deepEqual(
    without,
    Array.from({ length: 400 }, (_, row) => `${['x', '', 'y', 'z'][row % 4]} ${row}`).filter(
      (row) => !row.startsWith('y '),
    ),
  )
  equal(inboxOf(pair.b).length, 400)
  equal(pair.a.all('SELECT * FROM mqout').length, 0)
})

test('a lane that waits for its key keeps no other from going, however many rows it has', (t) => {
  const pair = pairOf(t, keys())
  for (let row = 0; row < 600; row++) insert(pair.a, 'b', `${row}`, row % 300 === 7 ? 'x' : 'y')
  const [x] = lanesOf(pair.a).filter(({ key }) => key === 'x')
  if (x === undefined) throw new Error('There is a lane for x.')
  linkOf(pair, x).settle()
  deepEqual(inboxOf(pair.b), ['x 7', 'x 307'])
})

test('rows that waited when the ring came go under their keys, each once', (t) => {
  const pair = pairOf(t, labels)
  for (let row = 0; row < 10; row++) insert(pair.a, 'b', `${row}`, row % 2 === 0 ? 'x' : 'y')
  pair.a.restartWith(keys())
  pair.b.restartWith(keys())
  deliver(pair)
  deepEqual(
    inboxOf(pair.b).toSorted(),
    Array.from({ length: 10 }, (_, row) => `${row % 2 === 0 ? 'x' : 'y'} ${row}`).toSorted(),
  )
})

for (const [title, from, to] of [
  ['comes', labels, keys()],
  ['goes', keys(), labels],
  ['is not asked for some tokens any more', keys(), keys('x')],
  ['is asked for all tokens again', keys('x', 'y'), keys()],
] as const) {
  test(`rows in flight when the ring ${title} arrive once, whatever the peer has`, (t) => {
    for (const steps of [3, 4, 5, 6, 8, 12]) {
      const pair = pairOf(t, from)
      for (let row = 0; row < 30; row++) insert(pair.a, 'b', `${row}`, row % 2 === 0 ? 'x' : 'y')
      for (const lane of lanesOf(pair.a)) {
        const link = linkOf(pair, lane)
        // Some are stored and not confirmed, some are numbered and not sent.
        for (let step = 0; step < steps; step++) link.step(500, 131_072)
      }
      pair.a.restartWith(to)
      pair.b.restartWith(to)
      deliver(pair)
      const came = inboxOf(pair.b)
      equal(came.length, 30)
      equal(new Set(came).size, 30)
      equal(pair.a.all('SELECT * FROM mqout').length, 0)
    }
  })
}

test('rows that were on their way are reported when the ring comes, others are not', (t) => {
  const pair = pairOf(t, labels)
  insert(pair.a, 'b', 'waits', 'x')
  pair.a.restartWith(keys())
  pair.a.run()
  equal(pair.a.all('SELECT * FROM mqevent').length, 0)
  pair.a.restartWith(labels)
  const [lane] = lanesOf(pair.a)
  if (lane === undefined) throw new Error('There is a lane.')
  const link = linkOf(pair, lane)
  for (let step = 0; step < 4; step++) link.step(10, 131_072)
  pair.a.restartWith(keys())
  pair.a.run()
  deepEqual(
    pair.a.all('SELECT code FROM mqevent').map(({ code }) => code),
    ['KEYS_CHANGED'],
  )
})

test('the same choice again changes no stream', (t) => {
  const pair = pairOf(t, keys('x', 'y'))
  for (let row = 0; row < 10; row++) insert(pair.a, 'b', `${row}`, 'x')
  for (const lane of lanesOf(pair.a)) {
    const link = linkOf(pair, lane)
    for (let step = 0; step < 4; step++) link.step(100, 131_072)
  }
  const streams = (): unknown => pair.a.all('SELECT stream, numbered FROM mqlane')
  const before = streams()
  pair.a.restartWith(keys('y', 'x'))
  pair.a.run()
  deepEqual(streams(), before)
})

test('rows that are marked as late are found in the lane of their token', (t) => {
  const pair = pairOf(t, keys())
  const put = pair.a.user.prepare('INSERT INTO mqout (id, host, token, data) VALUES (?, ?, ?, ?)')
  for (const [id, token] of [
    [100, 'x'],
    [200, 'y'],
  ] as const) {
    put.run(id, 'b', token, `${id}`)
  }
  deliver(pair)
  for (const [id, token] of [
    [50, 'y'],
    [60, 'x'],
    [150, 'y'],
    [160, 'x'],
  ] as const) {
    put.run(id, 'b', token, `${id}`)
  }
  deliver(pair)
  deepEqual(inboxOf(pair.b).toSorted(), ['x 100', 'x 160', 'x 60', 'y 150', 'y 200', 'y 50'])
  equal(pair.a.all('SELECT * FROM mqrequeue').length, 0)
})

test('a row whose token is changed goes by the lane of the new one', (t) => {
  const pair = pairOf(t, keys())
  deliver(pair)
  const id = insert(pair.a, 'b', 'first', 'wrong')
  insert(pair.a, 'b', 'second', 'x')
  deliver({ ...pair, a: pair.a })
  // The links of the test know no ring: what the peer took under "wrong" is gone.
  equal(pair.a.all('SELECT * FROM mqout').length, 0)
  const other = insert(pair.a, 'b', 'third', 'wrong')
  pair.a.user.prepare("UPDATE mqout SET token = 'x' WHERE id = ?").run(other)
  deliver(pair)
  deepEqual(inboxOf(pair.b).toSorted(), ['wrong first', 'x second', 'x third'])
  equal(id < other, true)
})

test('under a key only its own token comes in: the lane is closed, and nothing is lost', (t) => {
  const pair = pairOf(t, keys())
  insert(pair.a, 'b', 'mine', 'x')
  insert(pair.a, 'b', 'theirs', 'x')
  const [lane] = lanesOf(pair.a)
  if (lane === undefined) throw new Error('There is a lane.')
  // The same secret has another name at the receiver.
  const link = linkOf(pair, { ...lane, key: 'renamed' })
  for (let step = 0; step < 6; step++) link.step(10_000, 131_072)
  equal(link.ended?.type === 'rejected' && link.ended.code, 5)
  match(
    link.ended?.type === 'rejected' ? link.ended.reason : '',
    /the key is called renamed here, and the token is "x"/,
  )
  deepEqual(inboxOf(pair.b), [])
  equal(pair.a.all('SELECT * FROM mqout').length, 2)
  deliver(pair)
  deepEqual(inboxOf(pair.b), ['x mine', 'x theirs'])
})

test('without a key only tokens that need none come in: others are set aside', (t) => {
  const pair = pairOf(t, labels, keys('free'))
  for (const token of ['free', 'x', 'free', '', 'free']) insert(pair.a, 'b', `${token}!`, token)
  for (let round = 0; round < 3; round++) deliver(pair)
  deepEqual(inboxOf(pair.b), ['free free!', 'free free!', 'free free!'])
  const parked = pair.a.all('SELECT token, state, reason FROM mqstatus ORDER BY id')
  deepEqual(
    parked.map(({ token, state }) => [token, state]),
    [
      ['x', 'parked'],
      ['', 'parked'],
    ],
  )
  match(String(parked[0]?.['reason']), /the token "x" is taken here under its key only/)
})

test('a row whose token has no key shows as parked, with the reason of its lane', (t) => {
  const pair = pairOf(t, keys('free'))
  for (const token of ['x', '', 'free']) insert(pair.a, 'b', 'data', token)
  for (const { lane, key } of lanesOf(pair.a)) {
    if (key === '') continue
    const status = { type: 'waiting', code: 'TINYMQ_NO_KEY', reason: `no ${key}` } as const
    pair.a.run({ type: 'lane-status', lane, status: { ...status, retryInUs: undefined } })
  }
  pair.a.nowMs += 2_000
  pair.a.run({ type: 'scan' })
  deepEqual(statusOf(pair.a), [
    { token: 'x', state: 'parked', reason: 'no x (TINYMQ_NO_KEY)' },
    { token: '', state: 'parked', reason: 'no (no token) (TINYMQ_NO_KEY)' },
    { token: 'free', state: 'waiting', reason: 'waits for its turn' },
  ])
  // Without a ring none of these lanes is used any more.
  pair.a.restartWith(labels)
  lanesOf(pair.a)
  deepEqual(
    statusOf(pair.a).map((row) => (row as { state: string }).state),
    ['waiting', 'waiting', 'waiting'],
  )
})

test('a key is a border: lanes under two keys look nothing up in each other', (t) => {
  const pair = pairOf(t, keys())
  const uidIndex = (): number => pair.b.all('SELECT * FROM mquidindex').length
  for (let row = 0; row < 40; row++) insert(pair.a, 'b', `${row}`, row % 2 === 0 ? 'x' : 'y')
  deliver(pair)
  for (let row = 40; row < 80; row++) insert(pair.a, 'b', `${row}`, row % 2 === 0 ? 'x' : 'y')
  const backup = `${pair.a.path}-backup`
  pair.a.backup(backup)
  deliver(pair)
  equal(uidIndex(), 0)
  equal(inboxOf(pair.b).length, 80)
  pair.a.restore(backup)
  // PROTOCOL §7.6: a row that the peer has under x goes under y too. The lane of y is looked up in
  // what came under y alone, because anybody with another key may claim to be this database.
  pair.a.user.prepare("UPDATE mqout SET token = 'y' WHERE token = 'x' AND data = '78'").run()
  const lanes = lanesOf(pair.a).toSorted((one, other) => one.key.localeCompare(other.key))
  for (const lane of lanes) linkOf(pair, lane).settle()
  ok(uidIndex() > 0)
  deepEqual([inboxOf(pair.b).length, pair.a.all('SELECT * FROM mqout').length], [81, 0])
})

test('what came without a key is looked up by the lanes of all keys, and by no more', (t) => {
  const pair = pairOf(t, labels)
  for (let row = 0; row < 10; row++) insert(pair.a, 'b', `${row}`, 'x')
  deliver(pair)
  pair.a.restartWith(keys())
  pair.b.restartWith(keys())
  for (let row = 10; row < 30; row++) insert(pair.a, 'b', `${row}`, row % 2 === 0 ? 'x' : 'y')
  deliver(pair)
  equal(pair.b.all('SELECT * FROM mquidindex').length, 10)
  equal(inboxOf(pair.b).length, 30)
})

test('a row that waited for a key is not overlooked in a lane that has gone on without it', (t) => {
  const pair = pairOf(t, keys('y'))
  insert(pair.a, 'b', 'first', 'x')
  insert(pair.a, 'b', 'second', 'y')
  for (const lane of lanesOf(pair.a)) if (lane.key === '') linkOf(pair, lane).settle()
  deepEqual(inboxOf(pair.b), ['y second'])
  pair.a.restartWith(keys('x', 'y'))
  pair.b.restartWith(keys('x', 'y'))
  deliver(pair)
  deepEqual(inboxOf(pair.b), ['y second', 'x first'])
})

test('a row under another token stays, when it has the id of one that is confirmed', (t) => {
  const { a } = pairOf(t, keys())
  for (const data of ['one', 'two', 'three']) insert(a, 'b', data, 'x')
  const [x] = lanesOf(a)
  ok(x !== undefined)
  const first = new ReaderAlone(a, x)
  first.checkIdentity({})
  first.read()
  a.user.exec("INSERT OR REPLACE INTO mqout (id, host, token, data) VALUES (2, 'b', 'y', 'Y')")
  a.run({ type: 'scan' })
  const y = lanesOf(a).find(({ key }) => key === 'y')
  ok(y !== undefined)
  const second = new ReaderAlone(a, y)
  second.checkIdentity({})
  equal(second.read()?.lastSequence, 1)
  first.confirm(3)
  deepEqual(a.all('SELECT id, data FROM mqout'), [{ id: 2, data: 'Y' }])
})

for (const code of ['SQLITE_FULL', 'SQLITE_IOERR_WRITE']) {
  test(`without room for its index (${code}) rows go on, and it is made later`, (t) => {
    const pair = pairOf(t, labels)
    const { a, b } = pair
    insert(a, 'b', 'one', 'token')
    a.restartWith(keys('token'))
    const isIndex = (sql: string): boolean => sql.startsWith('CREATE INDEX mqout_lane')
    a.faults.at = (sql) => (isIndex(sql) ? { code, rollsBack: true } : undefined)
    b.restartWith(keys('token'))
    deliver(pair)
    equal(b.all('SELECT 1 FROM mqin').length, 1)
    deepEqual([a.store.fault?.level, a.store.fault?.code], ['warn', 'TINYMQ_SCRATCH_FULL'])
    a.faults.at = undefined
    a.nowMs += 3_600_000
    a.run({ type: 'scan' })
    equal(a.all("SELECT 1 FROM pragma_index_info('mqout_lane')").length, 3)
  })
}
