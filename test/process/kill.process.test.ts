/** Daemons that are killed at any instant. */
import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { Machine } from '../support/machine.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { until } from '../support/until.ts'

const killsEach = scaled(50)
const messages = scaled(50_000)
const batch = 125
const upMsMax = 900
const downMsMax = 200

/**
 * Kills the daemon of a machine again and again: while it starts, works, and has been gone for a
 * while.
 */
async function killRepeatedly(
  machine: Machine,
  random: SeededRandom,
  onKilled: () => void,
): Promise<void> {
  for (let kill = 0; kill < killsEach; kill++) {
    await sleep(random.next() * upMsMax)
    await machine.daemon.kill9()
    onKilled()
    if (random.chance(0.3)) await sleep(random.next() * downMsMax)
    const daemon = machine.launch()
    if (random.chance(0.8)) await daemon.started()
  }
}

test('P1, P3, P4, P5: a hundred times kill -9 of either side: once and in order', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  let kills = 0
  const killed = Promise.all(
    [a, b].map(async (machine, seed) =>
      killRepeatedly(machine, new SeededRandom(seed), () => kills++),
    ),
  )
  let inserted = 0
  while (inserted < messages) {
    await until(
      { what: 'the next kill', withinMs: 30_000, everyMs: 5 },
      () => inserted / messages < (kills + 1) / (2 * killsEach),
    )
    const last = Math.min(messages, inserted + batch)
    await a.sql(insertNumbered({ sender: 'a', to: b, first: inserted + 1, last }))
    inserted = last
  }
  await killed
  await Promise.all([a.daemon.started(), b.daemon.started()])
  const arrived = await b.sql('SELECT count(*) FROM mqin;')
  await a.sentAll(60_000)
  checkInbox(b.database, { a: messages })
  for (const machine of [a, b]) equal(await machine.sql('PRAGMA integrity_check;'), 'ok')
  t.diagnostic(`${kills} kills; ${arrived} of ${messages} messages had arrived when they ended`)
})
