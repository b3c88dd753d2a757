/** A bad network between two real daemons. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const impairment = {
  lossShare: 0.3,
  duplicateShare: 0.05,
  delayMs: 75,
  jitterMs: 50,
  datagramBytesMax: 1_472,
}

test('P3, P4: 30 % loss, 5 % duplicates and reordering both ways: once and in order', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  const toB = await scene.relayTo(b, { ...impairment, seed: 1 })
  const toA = await scene.relayTo(a, { ...impairment, seed: 2 })
  const [forth, back] = [scaled(100_000), scaled(20_000)]
  const start = performance.now()
  await Promise.all([
    a.sql(insertNumbered({ sender: 'a', to: toB, first: 1, last: forth })),
    b.sql(insertNumbered({ sender: 'b', to: toA, first: 1, last: back })),
  ])
  await Promise.all([a.sentAll(300_000), b.sentAll(300_000)])
  const seconds = (performance.now() - start) / 1_000
  checkInbox(b.database, { a: forth })
  checkInbox(a.database, { b: back })
  const { taken, lost, doubled } = await toB.counters()
  t.diagnostic(
    `${forth} messages there and ${back} back in ${seconds.toFixed(1)} s; of ${taken} datagrams ` +
      `to and from the first receiver ${lost} were lost and ${doubled} doubled`,
  )
  ok(lost / taken > 0.25 && doubled / taken > 0.02, 'The relay was as bad as it should be.')
})
