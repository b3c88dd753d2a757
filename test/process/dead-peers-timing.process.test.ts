/** Peers that are dead next to one that lives. */
import { match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../../bench/distribution.ts'
import { freePort } from '../support/free-port.ts'
import type { Machine } from '../support/machine.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'

/** Fewer come in a few transactions, and say little of a rate. */
const liveRows = Math.max(15_000, scaled(60_000))
const deadRows = 500
const shareMin = 0.9
const pairsMin = 3
const outageMs = 10_000
const pairsMax = 10

/** Rows per second, from the first arrival to the last. */
async function liveRate(a: Machine, b: Machine, round: number): Promise<number> {
  const [first, last] = [(round - 1) * liveRows + 1, round * liveRows]
  await a.sql(insertNumbered({ sender: 'a', to: b, first, last }))
  await b.shows(`SELECT max(id) >= ${last} FROM mqin;`, /^1$/, 60_000)
  const took = 'SELECT max(arrived_at) - min(arrived_at) FROM mqin'
  const tookMs = await b.sql(`${took} WHERE id BETWEEN ${first} AND ${last};`)
  return (liveRows * 1_000) / Number(tookMs)
}

test('P6, P12: the dead slow nobody down, say why they wait, get theirs on return', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  const c = await scene.machine('c', { host: '127.0.0.77' })
  const silence = await scene.silence(c)
  const closed = { host: '127.0.0.1', port: await freePort() }
  const dead = [c, closed, { host: 'name.invalid', port: 9000 }]
  const inserts = dead.map((to, index) =>
    insertNumbered({ sender: `dead${index}`, to, first: 1, last: deadRows }),
  )

  // In turns, in changing order: a machine that gets slower or faster must count for both alike.
  // Medians: one lucky window must not count either.
  const alone: number[] = []
  const beside: number[] = []
  const share = (): number => median(beside) / median(alone)
  let round = 0
  const measure = async (isBeside: boolean): Promise<void> => {
    await a.sql("DELETE FROM mqout WHERE CAST(data AS TEXT) GLOB 'dead*';")
    if (isBeside) await a.sql(inserts.join('\n'))
    const rates = isBeside ? beside : alone
    rates.push(await liveRate(a, b, ++round))
  }
  for (let pair = 1; pair <= pairsMax; pair++) {
    await measure(pair % 2 === 0)
    await measure(pair % 2 !== 0)
    if (pair >= pairsMin && share() >= shareMin) break
  }
  const [aloneRate, besideRate] = [alone, beside].map((rates) => `${median(rates).toFixed(0)}/s`)
  const rates = `alone ${aloneRate}, next to the dead ${besideRate}`
  t.diagnostic(`medians of ${round / 2}: ${rates}, ${share().toFixed(2)}`)
  ok(share() >= shareMin, rates)
  await a.sql(`DELETE FROM mqout WHERE CAST(data AS TEXT) GLOB 'dead*';\n${inserts.join('\n')}`)
  checkInbox(b.database, { a: round * liveRows })

  const whySql = `SELECT DISTINCT host, port, state, reason FROM mqstatus ORDER BY host, port;`
  const why = await a.shows(whySql, /127\.0\.0\.1\|.*TINYMQ[^]*77\|.*TINYMQ[^]*invalid\|.*TINYMQ/)
  t.diagnostic(why)
  match(why, /127\.0\.0\.1\|\d+\|waiting\|no answer from .* \(TINYMQ_NO_ANSWER\)/)
  match(why, /127\.0\.0\.77\|\d+\|waiting\|no answer from .* \(TINYMQ_NO_ANSWER\)/)
  match(why, /name\.invalid\|9000\|waiting\|.* \(TINYMQ_UNRESOLVED\)/)

  // Long enough for its pace to have become slow, if it ever did.
  await sleep(outageMs)
  await silence.close()
  await c.start('--bind', c.host)
  await c.shows(`SELECT count(*) FROM mqin;`, new RegExp(`^${deadRows}$`))
  checkInbox(c.database, { dead0: deadRows })
  const newest = Number(await c.sql('SELECT max(arrived_at) FROM mqin;'))
  const tookMs = newest - c.daemon.startedAtMs
  t.diagnostic(`${deadRows} messages arrived ${tookMs} ms after the dead one had started`)
  ok(tookMs <= 2_000, `It took ${tookMs} ms.`)
})

test('P12: a peer that comes back after it was known is sent to within two seconds', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
  await a.sentAll(10_000)
  await b.daemon.kill9()
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))
  await a.shows('SELECT reason FROM mqstatus LIMIT 1;', /TINYMQ_NO_ANSWER/, 60_000)
  await b.start()
  await a.sentAll(10_000)
  checkInbox(b.database, { a: 20 })
  const newest = Number(await b.sql('SELECT max(arrived_at) FROM mqin;'))
  const tookMs = newest - b.daemon.startedAtMs
  t.diagnostic(`they arrived ${tookMs} ms after it had started`)
  ok(tookMs <= 2_000, `It took ${tookMs} ms.`)
})
