/** Daemons that are killed or frozen in mid-flight, and databases that are restored meanwhile. */
import { equal, ok } from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { range } from '../test/support/numbered.ts'
import { restoreReceiver, restoreSender } from './restores.ts'
import type { Stage } from './stage.ts'
import { stageFor } from './story.ts'

/** Slow enough for a kill to come in between, however long Docker takes over it. */
const slowLink = { lossPercent: 10, delayMs: 20, jitterMs: 5, rateKbit: 400 }
const messageBytes = 1_000
const eachWay = 250

const story = stageFor()

story('kill -9 and restart of each node in mid-flight', async (stage) => {
  await stage.linkAll(slowLink)
  const names = stage.lab.machines.map(({ name }) => name)
  for (const [round, victim] of names.entries()) {
    const [first, last] = [round * eachWay + 1, (round + 1) * eachWay]
    const others = names.filter((name) => name !== victim)
    const before = stage.count(victim, 'mqin')
    for (const other of others) {
      stage.insert({ from: other, to: victim, first, last, bytes: messageBytes })
      stage.insert({ from: victim, to: other, first, last, bytes: messageBytes })
    }
    await stage.received(victim, before + eachWay / 10)
    await killInMidFlight(stage, victim, before + others.length * eachWay)
    await stage.lab.machine(victim).start()
    await stage.sentAll()
  }
  // Each was a victim once, and one of the others twice: both ways in each of the three rounds.
  return Object.fromEntries(
    names.map((to) => {
      const senders = names.filter((from) => from !== to)
      return [to, Object.fromEntries(senders.map((from) => [from, numbersOf(names, from, to)]))]
    }),
  )
})

/** What went from one to the other: a batch in every round in which one of them was the victim. */
function numbersOf(names: readonly string[], from: string, to: string): number[] {
  return [...names.entries()]
    .filter(([, victim]) => victim === from || victim === to)
    .flatMap(([round]) => range(round * eachWay + 1, (round + 1) * eachWay))
}

/** Kills a machine of which some messages have come and gone by then, and some have not. */
async function killInMidFlight(stage: Stage, victim: string, all: number): Promise<void> {
  await stage.lab.machine(victim).kill()
  const [arrived, waiting] = [stage.count(victim, 'mqin'), stage.count(victim, 'mqout')]
  ok(arrived < all, `${arrived} of ${all} had arrived at ${victim} when it was killed`)
  ok(waiting > 0, `${waiting} rows waited at ${victim} when it was killed`)
}

const kills = 3
const batch = 2_000

story(`${kills} times kill -9 of the receiver under load`, async (stage) => {
  // A receiver that is always writing: whatever it says before it has written is found out.
  await stage.linkAll({ delayMs: 1, rateKbit: 4_000 })
  const receiver = stage.lab.machine('MachineB')
  for (let kill = 0; kill < kills; kill++) {
    const before = stage.count('MachineB', 'mqin')
    const [first, last] = [kill * batch + 1, (kill + 1) * batch]
    stage.insert({ from: 'MachineA', to: 'MachineB', first, last, bytes: 500 })
    await stage.received('MachineB', before + batch / 10)
    await receiver.kill()
    ok(stage.count('MachineA', 'mqout') > 0, 'rows waited as it was killed')
    await receiver.start()
  }
  return { MachineB: { MachineA: kills * batch } }
})

story('a node frozen in mid-flight', async (stage) => {
  await stage.linkAll(slowLink)
  const frozen = stage.lab.machine('MachineB')
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: eachWay, bytes: messageBytes })
  await stage.received('MachineB', eachWay / 10)
  await frozen.pause()
  const [arrived] = [stage.count('MachineB', 'mqin')]
  ok(arrived < eachWay, `${arrived} had arrived when it froze`)
  await sleep(5_000)
  equal(stage.count('MachineB', 'mqin'), arrived, 'nothing arrives at a frozen node')
  await frozen.unpause()
  return { MachineB: { MachineA: eachWay } }
})

const drained = 400
/** Slower: Docker has to copy a database and to kill a daemon in between. */
const drainLink = { ...slowLink, rateKbit: 150 }

story('a sender restored in mid-drain, with two destinations', async (stage) => {
  await stage.linkAll(drainLink)
  return restoreSender(stage, drained)
})

story('a receiver restored in mid-drain, with two senders and rows of its own', async (stage) => {
  await stage.linkAll(drainLink)
  return restoreReceiver(stage, drained)
})
