/** A disk that is full, and an application in a container of its own beside the daemon. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stageFor } from './stage.ts'

const diskMebibytes = 48
const freeMebibytes = 4
const messages = 10_000

const story = stageFor({ machines: { MachineA: {}, MachineB: { diskMebibytes } } })

story('a full disk, and kill -9 on it', async (stage) => {
  await stage.linkAll({ lossPercent: 5, delayMs: 10 })
  const ballast = join(dirname(stage.path('MachineB')), 'ballast')
  writeFileSync(ballast, Buffer.alloc((diskMebibytes - freeMebibytes) * 1_048_576))
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: messages, bytes: 1_000 })
  await stage.shows(
    'MachineA',
    "SELECT state || ': ' || reason FROM mqstatus ORDER BY id LIMIT 1",
    (reason) => String(reason).includes('TINYMQ_PEER_STORE'),
  )
  const receiver = stage.lab.machine('MachineB')
  // What it has said that it has, and could not write, is lost now.
  await receiver.kill()
  const arrived = stage.count('MachineB', 'mqin')
  ok(arrived > 0 && arrived < messages, `${arrived} of ${messages} fitted`)
  rmSync(ballast)
  await receiver.start()
  return { MachineB: { MachineA: messages } }
})

const sent = 200

/** An application as users write it; the package is where the image has it. */
const asProgram = (program: string): string[] => {
  const text = `import { open } from 'tinymq'
    using mq = open(process.env.TINYMQ_DATABASE)
    ${program}`
  const command = `cd /opt/tinymq && exec node --input-type=module --eval "$0"`
  return ['sh', '-c', command, text]
}

const sender = asProgram(`
  const messages = Array.from({ length: ${sent} }, (_, index) => {
    return { host: 'MachineB', data: 'MachineA:' + (index + 1) + ':', headers: { index } }
  })
  const ids = mq.sendMany(messages)
  await Promise.all(ids.map((id) => mq.delivered(id, { signal: AbortSignal.timeout(240_000) })))
  console.log(process.getuid(), ids.length)
`)

const reader = asProgram(`
  const messages = Array.from(mq.readInbox())
  console.log(JSON.stringify(messages.map(({ data, headers }) => [data, headers.index])))
`)

story('an application in a fourth container on the volume', async (stage) => {
  await stage.linkAll({ lossPercent: 10, delayMs: 20, corruptPercent: 5 })
  const [a, b] = [stage.lab.machine('MachineA'), stage.lab.machine('MachineB')]
  const sending = await a.run(sender)
  equal(sending.exitCode, 0, sending.stderr)
  match(sending.stdout, new RegExp(`^1000 ${sent}$`, 'm'))
  const reading = await b.run(reader)
  equal(reading.exitCode, 0, reading.stderr)
  deepEqual(
    JSON.parse(reading.stdout),
    Array.from({ length: sent }, (_, index) => [`MachineA:${index + 1}:`, index]),
  )
  return { MachineB: { MachineA: sent } }
})
