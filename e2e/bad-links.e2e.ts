/** Links that lose, delay, reorder and duplicate what goes over them. */
import { largeBoundaries } from './messages.ts'
import { stageFor } from './story.ts'

const badLink = {
  lossPercent: 30,
  delayMs: 50,
  jitterMs: 20,
  reorderPercent: 25,
  duplicatePercent: 5,
}

// A guest kernel carries some hundred kilobits a second, and all of these are in `rows` as well.
const eachWay = 200
const burst = 4_000
const largeBytes = 4_194_304

const story = stageFor()

story('all to all', async (stage) => {
  await stage.linkAll(badLink)
  const names = stage.lab.machines.map(({ name }) => name)
  const pairs = names.flatMap((from) =>
    names.filter((to) => to !== from).map((to) => ({ from, to, first: 1, last: eachWay })),
  )
  for (const batch of pairs) stage.insert(batch)
  return Object.fromEntries(
    names.map((to) => {
      const senders = names.filter((from) => from !== to)
      return [to, Object.fromEntries(senders.map((from) => [from, eachWay]))]
    }),
  )
})

story('a burst of 4,000', async (stage) => {
  await stage.linkAll(badLink)
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: burst })
  return { MachineB: { MachineA: burst } }
})

story('messages of 4 MiB, and of sizes around limits', async (stage) => {
  await stage.linkAll(badLink)
  stage.insert({ from: 'MachineC', to: 'MachineA', first: 1, last: 1, large: [largeBytes] })
  // More would take minutes where the guest carries half a megabit a second; rows.e2e.ts has all.
  const large = largeBoundaries.filter((bytes) => bytes < largeBytes / 16)
  stage.insert({ from: 'MachineB', to: 'MachineA', first: 1, last: eachWay / 4, large })
  return { MachineA: { MachineC: 1, MachineB: eachWay / 4 } }
})
