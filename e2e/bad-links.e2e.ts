/** Links that lose, delay, reorder and double what goes over them. */
import { equal } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type Stage, stageFor } from './stage.ts'

const badLink = {
  lossPercent: 30,
  delayMs: 50,
  jitterMs: 20,
  reorderPercent: 25,
  duplicatePercent: 5,
}

const eachWay = 500
const burst = 10_000
const largeBytes = 10_485_760

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

story('a burst of 10,000', async (stage) => {
  await stage.linkAll(badLink)
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: burst })
  return { MachineB: { MachineA: burst } }
})

story('one message of 10 MiB', async (stage) => {
  await stage.linkAll(badLink)
  // Chance in it, so that no piece can stand for another.
  const data = `'MachineC:1:' || hex(randomblob(${largeBytes / 2}))`
  await stage.lab.machine('MachineC').sql(`
    INSERT INTO mqout (host, port, token, data) VALUES ('MachineA', 9000, 'large', ${data})`)
  const sent = digest(stage, 'MachineC', 'mqout')
  await stage.sentAll()
  equal(digest(stage, 'MachineA', 'mqin'), sent, 'the message is what it was')
  return { MachineA: { MachineC: 1 } }
})

function digest(stage: Stage, machine: string, table: string): string {
  const text = String(stage.value(machine, `SELECT data FROM ${table}`))
  equal(text.length, largeBytes + 'MachineC:1:'.length)
  return createHash('sha256').update(text).digest('hex')
}
