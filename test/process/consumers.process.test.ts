/** Consumers in processes of their own, which are killed in the middle of their work. */
import { deepEqual, equal } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { ConsumedInbox } from '../support/consumed-inbox.ts'
import type { Handling } from '../support/consumer-process.ts'
import type { ConsumerTask } from '../support/consumer-program.ts'
import { scaled } from '../support/scale.ts'
import { until } from '../support/until.ts'

const messages = scaled(20_000)
const consumersMax = 4

/** Two handlers that had the same message at the same time. */
function overlaps(handlings: readonly Handling[]): string[] {
  const order = handlings.toSorted((a, b) => a.id - b.id || Number(a.beginNs - b.beginNs))
  return order.flatMap((handling, at) => {
    const before = order[at - 1]
    const isOverlap = before?.id === handling.id && before.endNs > handling.beginNs
    return isOverlap ? [`message ${handling.id}`] : []
  })
}

/**
 * Runs four consumers, one of them being killed and replaced all the time, until `kills` were
 * killed and all is handled. `batch` more messages arrive whenever half of that is left: however
 * fast the machine is, a kill finds consumers at work.
 */
async function killAtRandom(
  t: TestContext,
  inbox: ConsumedInbox,
  { kills, batch }: { readonly kills: number; readonly batch: number },
  task: Partial<ConsumerTask>,
): Promise<void> {
  const random = new SeededRandom(7)
  inbox.arrive(batch)
  const consumers = Array.from({ length: consumersMax }, () => inbox.start(task))
  for (let killed = 0; killed < kills; killed++) {
    await sleep(100 + random.next() * 500)
    const left = Number(inbox.value('SELECT count(*) FROM mqin'))
    if (left < batch / 2) inbox.arrive(batch)
    const at = Math.floor(random.next() * consumersMax)
    await consumers[at]?.kill9()
    consumers[at] = inbox.start(task)
  }
  await inbox.empty(300_000)
  t.diagnostic(`${kills} consumers were killed, ${inbox.arrived} messages had arrived`)
}

test('a consumer is killed in the middle of a message: it is handled again', async (t) => {
  const inbox = new ConsumedInbox(t)
  inbox.arrive(1)
  const first = inbox.start({ work: 'endless', leaseMs: 1_000 })
  await until(
    { what: 'the handler to begin', withinMs: 20_000 },
    () => first.handlings().length === 1,
  )
  // It holds the message for longer than one lease.
  await sleep(2_000)
  const second = inbox.start({ leaseMs: 1_000 })
  await sleep(500)
  deepEqual(second.handlings(), [])
  await first.kill9()
  await inbox.empty(20_000)
  equal(second.handlings().length, 1)
  deepEqual(overlaps(inbox.handlings()), [])
})

test('killed in the middle of a transaction, a handler has done nothing', async (t) => {
  const inbox = new ConsumedInbox(t)
  inbox.arrive(1)
  const task = { kind: 'transaction', leaseMs: 1_000 } as const
  const first = inbox.start({ ...task, work: 'endless' })
  await until(
    { what: 'the handler to begin', withinMs: 20_000 },
    () => first.handlings().length === 1,
  )
  await first.kill9()
  equal(inbox.value('SELECT count(*) FROM effect'), 0)
  inbox.start(task)
  await inbox.empty(20_000)
  equal(inbox.value('SELECT count(*) FROM effect'), 1)
})

test('four consumers, killed at random: each message handled, none twice at a time', async (t) => {
  const inbox = new ConsumedInbox(t)
  await killAtRandom(t, inbox, { kills: 20, batch: messages }, {})
  const handlings = inbox.handlings()
  const handled = new Set(handlings.filter(({ isWhole }) => isWhole).map(({ id }) => id))
  equal(handled.size, inbox.arrived)
  deepEqual(overlaps(handlings), [])
  t.diagnostic(`${handlings.length - inbox.arrived} messages were begun again`)
  equal(inbox.value('SELECT count(*) FROM mqdead'), 0)
  equal(inbox.value('SELECT count(*) FROM mqlease'), 0)
  equal(inbox.value('PRAGMA integrity_check'), 'ok')
})

test('four consumers in transactions, killed at random: each message has one effect', async (t) => {
  const inbox = new ConsumedInbox(t)
  const batch = Math.ceil(messages / 4)
  await killAtRandom(t, inbox, { kills: 10, batch }, { kind: 'transaction' })
  equal(inbox.value('SELECT count(*) FROM effect'), inbox.arrived)
  equal(inbox.value('SELECT count(DISTINCT id) FROM effect'), inbox.arrived)
  equal(inbox.value('SELECT count(*) FROM mqlease'), 0)
})
