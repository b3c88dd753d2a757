/** Networks that part, interfaces that go down, addresses and images that change. */
import { equal, notEqual, ok } from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Dockerode from 'dockerode'
import type { Stage } from './stage.ts'
import { stageFor } from './story.ts'

/** Slow enough for a change to come in between. */
const slowLink = { lossPercent: 5, delayMs: 20, jitterMs: 5, rateKbit: 250 }
const messageBytes = 1_000
const messages = 1_000

const story = stageFor()

story('partition and heal', async (stage) => {
  await stage.linkAll(slowLink)
  const toAll = (first: number, last: number): void => {
    for (const [from, to] of [
      ['MachineA', 'MachineB'],
      ['MachineA', 'MachineC'],
      ['MachineC', 'MachineA'],
    ] as const) {
      stage.insert({ from, to, first, last, bytes: messageBytes })
    }
  }
  toAll(1, messages)
  await stage.received('MachineC', messages / 50)
  await stage.lab.partition('A', 'C')
  const atC = stage.count('MachineC', 'mqin')
  ok(atC < messages, `${atC} of ${messages} had arrived when the network parted`)
  await stage.received('MachineB', messages)
  // Whatever was on its way has come by now, and nothing else does.
  const stillAtC = stage.count('MachineC', 'mqin')
  toAll(messages + 1, messages + 50)
  await stage.received('MachineB', messages + 50)
  equal(stage.count('MachineC', 'mqin'), stillAtC, 'nothing crosses a partition')
  await stage.lab.heal()
  const all = messages + 50
  return { MachineA: { MachineC: all }, MachineB: { MachineA: all }, MachineC: { MachineA: all } }
})

story('an interface that goes down and comes up', async (stage) => {
  await stage.linkAll(slowLink)
  sendBothWays(stage)
  await stage.received('MachineB', messages / 50)
  await stage.lab.linkDown('B')
  const arrived = stage.count('MachineB', 'mqin')
  ok(arrived < messages, `${arrived} of ${messages} had arrived when it went down`)
  await sleep(3_000)
  equal(stage.count('MachineB', 'mqin'), arrived, 'nothing arrives without an interface')
  await stage.lab.linkUp('B')
  return bothWays
})

story('another address under the running daemon', async (stage) => {
  await stage.linkAll(slowLink)
  sendBothWays(stage)
  await stage.received('MachineB', messages / 50)
  const before = await stage.lab.machine('B').address()
  notEqual(await stage.lab.move('B'), before)
  const arrived = stage.count('MachineB', 'mqin')
  ok(arrived < messages, `${arrived} of ${messages} had arrived before it moved`)
  return bothWays
})

story('another address after a restart', async (stage) => {
  await stage.linkAll(slowLink)
  sendBothWays(stage)
  await stage.received('MachineB', messages / 50)
  const machine = stage.lab.machine('B')
  await machine.stop()
  ok(stage.count('MachineB', 'mqin') < messages, 'it was stopped in mid-flight')
  const before = await machine.address()
  notEqual(await stage.lab.move('B'), before)
  await machine.start()
  return bothWays
})

story('an upgrade of the image under a backlog', async (stage, t) => {
  const [sender, receiver] = [stage.lab.machine('A'), stage.lab.machine('B')]
  await receiver.stop()
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: 5_000, bytes: 300 })
  await stage.shows(
    'MachineA',
    "SELECT count(*) FROM mqlane WHERE host = 'MachineB' AND error IS NOT NULL",
    (lanes) => lanes === 1,
  )
  const [before, next] = [await sender.imageId(), await nextImage(sender.image, t)]
  await sender.stop()
  await sender.start({ image: next })
  notEqual(await sender.imageId(), before, 'it is another image')
  equal(stage.count('MachineA', 'mqout'), 5_000, 'the backlog waits')
  await receiver.start({ image: next })
  return { MachineB: { MachineA: 5_000 } }
})

/** Another image, as the next release would be: the same program under another version. */
async function nextImage(image: string, t: TestContext): Promise<string> {
  const docker = new Dockerode()
  const container = await docker.createContainer({ Image: image })
  try {
    const changes = 'LABEL org.opencontainers.image.version=next'
    await container.commit({ repo: 'tinymq-e2e', tag: 'next', changes })
  } finally {
    await container.remove()
  }
  t.after(async () => {
    await docker.getImage('tinymq-e2e:next').remove({ force: true })
  })
  return 'tinymq-e2e:next'
}

function sendBothWays(stage: Stage): void {
  for (const [from, to] of [
    ['MachineA', 'MachineB'],
    ['MachineB', 'MachineA'],
  ] as const) {
    stage.insert({ from, to, first: 1, last: messages, bytes: messageBytes })
  }
}

const bothWays = { MachineA: { MachineB: messages }, MachineB: { MachineA: messages } }
