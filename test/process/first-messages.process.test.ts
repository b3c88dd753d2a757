/** What the original did first, with its own lines. */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { checkInbox, insertNumbered, range } from '../support/numbered.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const columns = 'host, port, token, typeof(data) AS type, data'

test("P3, P5: the original's own lines move a message from one file to the other", async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  await a.sql(
    'INSERT INTO mqout (host,port,token,data) VALUES ' +
      `('127.0.0.1','${b.port}','token','HelloMachineBFromMachineA');`,
  )
  await b.shows('SELECT count(*) FROM mqin;', /^1$/)
  deepEqual(await b.rows(`SELECT ${columns} FROM mqin;`), [
    {
      host: '127.0.0.1',
      port: a.port,
      token: 'token',
      type: 'text',
      data: 'HelloMachineBFromMachineA',
    },
  ])
  await a.sentAll(5_000)
})

test('P3, P4: both directions at once', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  const last = 2_000
  await Promise.all([
    a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last })),
    b.sql(insertNumbered({ sender: 'b', to: a, first: 1, last })),
  ])
  await Promise.all([a.sentAll(20_000), b.sentAll(20_000)])
  checkInbox(b.database, { a: last })
  checkInbox(a.database, { b: last })
})

test('P3, P4: three nodes, all to all', async (t) => {
  const scene = new TestEnvironment(t)
  const machines = await Promise.all(['a', 'b', 'c'].map(async (name) => scene.running(name)))
  const last = 500
  for (const step of range(1, 5)) {
    const [first, until] = [(step - 1) * 100 + 1, step * 100]
    await Promise.all(
      machines.map(async (from) => {
        const others = machines.filter((to) => to !== from)
        const inserts = others.map((to) =>
          insertNumbered({ sender: `${from.name}${to.name}`, to, first, last: until }),
        )
        return from.sql(inserts.join('\n'))
      }),
    )
  }
  for (const from of machines) await from.sentAll(20_000)
  checkInbox(machines[0]?.database ?? '', { ba: last, ca: last })
  checkInbox(machines[1]?.database ?? '', { ab: last, cb: last })
  checkInbox(machines[2]?.database ?? '', { ac: last, bc: last })
})

test('P3, P4, P10: a node sends to itself under several names', async (t) => {
  const scene = new TestEnvironment(t)
  const a = await scene.running('a')
  const inserts = ['127.0.0.1', 'localhost', '127.0.0.2'].map((host, index) =>
    insertNumbered({ sender: `name${index}`, to: { host, port: a.port }, first: 1, last: 100 }),
  )
  await a.sql(inserts.join('\n'))
  await a.sentAll(20_000)
  checkInbox(a.database, { name0: 100, name1: 100, name2: 100 })
  equal(await a.sql('SELECT count(*) FROM mqevent;'), '0')
})
