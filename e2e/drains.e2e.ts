/**
 * Daemons and networks that fail in the middle of a drain, on a clean link: the daemons send at a
 * limited rate, so that there is a middle. No netem.
 */
import { ok } from 'node:assert/strict'
import { range } from '../test/support/numbered.ts'
import { restoreReceiver, restoreSender } from './restores.ts'
import { defaultMachines, type Stage } from './stage.ts'
import { stageFor } from './story.ts'

const bytesPerSecond = 100_000
const count = 500
const bytes = 1_000
const kills = 4

const limited = Object.entries(defaultMachines).map(([name, { environment }]) => {
  return [
    name,
    { environment: { ...environment, TINYMQ_MAX_RATE: String(bytesPerSecond) } },
  ] as const
})

const story = stageFor(Object.fromEntries(limited))

story('a sender restored in mid-drain, on a clean link', async (stage) =>
  restoreSender(stage, count),
)

story('a sender restored with rows that wait for another machine', async (stage) => {
  const [a, b, c] = [stage.lab.machine('A'), stage.lab.machine('B'), stage.lab.machine('C')]
  const send = (to: string, first: number, last: number): void => {
    stage.insert({ from: 'MachineA', to, first, last, large: [] })
  }
  await c.stop()
  send('MachineC', 1, 100)
  send('MachineB', 101, 200)
  await stage.received('MachineB', 100)
  // Rows that wait in the copy and are delivered after it must not arrive twice.
  await b.stop()
  send('MachineB', 201, 250)
  const copy = await a.copyDatabase()
  await b.start()
  send('MachineB', 251, 300)
  await stage.received('MachineB', 200)
  await a.stop()
  await a.restoreDatabase(copy)
  send('MachineB', 301, 400)
  send('MachineC', 401, 500)
  await a.start()
  stage.allowEvents('SELF_ROLLED_BACK', 'SELF_FORKED')
  const events = "SELECT count(*) FROM mqevent WHERE host = 'MachineB'"
  await stage.shows('MachineA', events, (reported) => reported === 1)
  await stage.received('MachineB', 300)
  await c.start()
  return {
    MachineB: { MachineA: range(101, 400) },
    MachineC: { MachineA: [...range(1, 100), ...range(401, 500)] },
  }
})

story('a receiver restored in mid-drain, on a clean link', async (stage) =>
  restoreReceiver(stage, count),
)

/** A sends to B and B to A; resolves when a part has arrived at both. */
async function startDrains(stage: Stage): Promise<void> {
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: count, bytes })
  stage.insert({ from: 'MachineB', to: 'MachineA', first: 1, last: count, bytes })
  await Promise.all([
    stage.received('MachineA', count / 10),
    stage.received('MachineB', count / 10),
  ])
}

const bothWays = { MachineA: { MachineB: count }, MachineB: { MachineA: count } }

story('kill -9 of the sender and of the receiver in mid-drain', async (stage) => {
  await startDrains(stage)
  for (const name of ['A', 'B', 'A']) {
    const machine = stage.lab.machine(name)
    await machine.kill()
    ok(stage.count(machine.name, 'mqout') > 0, `rows waited as ${machine.name} was killed`)
    const arrived = stage.count(machine.name, 'mqin')
    await machine.start()
    await stage.shows(machine.name, 'SELECT count(*) FROM mqin', (n) => Number(n) > arrived)
  }
  return bothWays
})

story('kill -9 of the receiver again and again', async (stage) => {
  const b = stage.lab.machine('B')
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: count, bytes })
  for (let kill = 0; kill < kills; kill++) {
    await stage.received('MachineB', stage.count('MachineB', 'mqin') + 1)
    await b.kill()
    await b.start()
  }
  ok(stage.count('MachineA', 'mqout') > 0, 'rows waited as it was killed')
  return { MachineB: { MachineA: count } }
})

story('a network that parts in mid-drain and heals', async (stage) => {
  await startDrains(stage)
  await stage.lab.partition('A', 'B')
  for (const name of ['MachineA', 'MachineB']) {
    ok(stage.count(name, 'mqout') > 0, `rows waited at ${name} when the network parted`)
  }
  await stage.lab.heal()
  return bothWays
})
