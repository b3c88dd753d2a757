import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { startNodes } from './index.ts'
import { LossyNetwork } from './lossy-network.ts'

test('messages cross between nodes by name, also through loss, doubles and delay', async () => {
  const conditions = { lossPercent: 30, duplicatePercent: 20, delayMs: 4, jitterMs: 3 }
  await using lab = await startNodes(['a', 'b'], { seed: 7, conditions })
  const { a, b } = lab.nodes
  const texts = Array.from({ length: 200 }, (_, at) => `message ${at}`)
  a.mq.sendMany(texts.map((data) => ({ host: 'b', data })))
  b.mq.send('a', 9000, '', 'x'.repeat(200_000))
  await Promise.all([a.waitForEmptyOutbox(), b.waitForEmptyOutbox()])
  deepEqual(
    Array.from(b.mq.readInbox(), ({ data }) => data),
    texts,
  )
  await a.waitForInbox(1)
  const { sent, arrived } = lab.datagrams
  ok(arrived < sent, `${arrived} of ${sent} have arrived`)
})

test('who waits for as long as it takes is not given up at once', async () => {
  await using lab = await startNodes(['a', 'b'])
  const { a, b } = lab.nodes
  const found = b.waitFor('SELECT data FROM mqin', { withinMs: Infinity })
  a.mq.send('b', 9000, '', 'x')
  equal(await found, 'x')
})

test('a partition holds back what waits, and its end lets it go', async () => {
  await using lab = await startNodes(['a', 'b', 'c'])
  const { a, b, c } = lab.nodes
  lab.partition('a', 'b')
  const id = a.mq.send('b', 9000, '', 'late')
  a.mq.send('c', 9000, '', 'in time')
  await c.waitForInbox(1)
  equal(await a.waitFor(`SELECT host FROM mqout WHERE id = ${id}`), 'b')
  lab.heal()
  await a.mq.delivered(id)
  equal(await b.waitFor('SELECT data FROM mqin'), 'late')
})

test('a node that crashes or is stopped goes on where it was', async () => {
  await using lab = await startNodes(['a', 'b'])
  const { a, b } = lab.nodes
  for (const end of ['crash', 'stop'] as const) {
    await b[end]()
    equal(b.isRunning, false)
    const id = a.mq.send('b', 9000, '', end)
    await b.start()
    await a.mq.delivered(id)
  }
  deepEqual(
    Array.from(b.mq.readInbox(), ({ data }) => data),
    ['crash', 'stop'],
  )
})

test('waiting ends with the answer, at its time, and with its signal', async () => {
  await using lab = await startNodes(['a'])
  const { a } = lab.nodes
  const count = a.waitFor<number>('SELECT count(*) FROM mqin')
  a.db.exec("INSERT INTO mqin (arrived_at, data) VALUES (1, 'x')")
  equal(await count, 1)
  deepEqual(await a.waitFor((db) => db.prepare('SELECT data FROM mqin').get()), { data: 'x' })
  a.mq.send('nobody', 9000, '', 'x')
  await a.waitFor("SELECT 1 FROM mqstatus WHERE reason LIKE '%not known%'")
  await rejects(
    a.waitForEmptyOutbox({ withinMs: 20 }),
    /gave 0 at node a for 20 ms; it waits: 1 to nobody: name not known/,
  )
  await rejects(a.waitFor('SELECT 0', { signal: AbortSignal.timeout(5) }), /TimeoutError/)
  await rejects(a.waitFor('SELECT x FROM mqin'), /no such column/)
})

test('wrong options of a lab are reported', async () => {
  await rejects(startNodes([]), /1 to 254 different names/)
  await rejects(startNodes(['a', 'a']), /not "a"/)
  await rejects(startNodes(['a b']), /not "a b"/)
  await using lab = await startNodes(['a'])
  throws(() => lab.link('a', { lossPercent: 101 }), /at most 100/)
  throws(() => lab.partition('a', 'z' as 'a'), /there is no node z: these are a/)
})

test('it leaves nothing behind, and lets consumers finish', async () => {
  let [database, isDone] = ['', false]
  {
    await using lab = await startNodes(['a', 'b'])
    const { a, b } = lab.nodes
    database = a.database
    const begun = Promise.withResolvers<void>()
    void b.mq.consume(async () => {
      begun.resolve()
      await a.waitForEmptyOutbox()
      isDone = true
    })
    a.mq.send('b', 9000, '', 'x')
    await begun.promise
  }
  deepEqual([existsSync(database), isDone], [false, true])
})

test('the same seed has the same luck, another one another, each direction its own', async () => {
  const luckOf = async (seed: number, noise: number): Promise<string> => {
    const network = new LossyNetwork(seed)
    const hosts = ['a', 'b', 'c'].map((name) => network.host(name))
    const open = hosts.map(async (host) => host.openSocket({ ip: undefined, port: 1 }))
    const [a, b, c] = await Promise.all(open)
    for (const from of ['a', 'c']) network.setLink(from, 'b', { lossPercent: 50 })
    const got: number[] = []
    const ended = Promise.withResolvers<void>()
    b?.listen({
      onSendFailed: () => {},
      onReceiveFailed: () => {},
      onDatagram: ({ ip }, [first = 0]) => {
        if (first === 255) ended.resolve()
        else if (ip === '10.0.0.1') got.push(first)
      },
    })
    const to = { ip: '10.0.0.2', port: 1 }
    for (let at = 0; at < 64; at++) {
      a?.send(to, Uint8Array.of(at))
      for (let extra = 0; extra < noise; extra++) c?.send(to, Uint8Array.of(0))
    }
    network.setLink('a', 'b', {})
    a?.send(to, Uint8Array.of(255))
    await ended.promise
    return got.join()
  }
  const one = await luckOf(1, 0)
  equal(await luckOf(1, 3), one)
  ok((await luckOf(2, 0)) !== one)
  match(one, /^\d+(?:,\d+){16,48}$/)
})
