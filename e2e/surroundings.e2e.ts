/** A disk that is full, and an application in a container of its own next to the daemon. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stageFor } from './story.ts'

const diskMebibytes = 48
const freeMebibytes = 2
const messages = 5_000

const story = stageFor({ MachineA: {}, MachineB: { diskMebibytes } })

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
  stage.allowEvents('TINYMQ_DISK_FULL')
  return { MachineB: { MachineA: messages } }
})

const sent = 200

/** An application as users write it; the package is where the image has it. */
const asProgram = (program: string): string[] => {
  const text = `import { createHash } from 'node:crypto'
    import { readFileSync } from 'node:fs'
    import { open } from 'tinymq'
    using mq = open(process.env.TINYMQ_DATABASE)
    ${program}`
  const command = `cd /opt/tinymq && exec node --input-type=module --eval "$0"`
  return ['sh', '-c', command, text]
}

const sender = asProgram(`
  const messages = JSON.parse(readFileSync('/data/messages.json', 'utf8')).map((message) => {
    const { headers, isText, base64, ...rest } = message
    const bytes = Buffer.from(base64, 'base64')
    const data = isText ? bytes.toString() : bytes
    return { ...rest, data, ...(headers === null ? {} : { headers: JSON.parse(headers) }) }
  })
  const ids = mq.sendMany(messages)
  await Promise.all(ids.map((id) => mq.delivered(id, { signal: AbortSignal.timeout(240_000) })))
  console.log(JSON.stringify({ uid: process.getuid(), ids }))
`)

const reader = asProgram(`
  const messages = Array.from(mq.readInbox(), ({ token, headers, data }) => {
    const hash = createHash('sha256').update(data).digest('hex')
    return [token, headers, typeof data, hash]
  })
  console.log(JSON.stringify(messages))
`)

story('an application in a fourth container on the volume', async (stage) => {
  await stage.linkAll({ lossPercent: 10, delayMs: 20, corruptPercent: 5 })
  const [a, b] = [stage.lab.machine('MachineA'), stage.lab.machine('MachineB')]
  const messages = stage.make({ from: 'MachineA', to: 'MachineB', first: 1, last: sent })
  const given = messages.map(({ token, headers, isText, bytes }) => {
    const base64 = Buffer.from(bytes).toString('base64')
    return { host: 'MachineB', token, headers, isText, base64 }
  })
  writeFileSync(join(dirname(stage.path('MachineA')), 'messages.json'), JSON.stringify(given))
  const sending = await a.run(sender)
  equal(sending.exitCode, 0, sending.stderr)
  const reported = JSON.parse(sending.stdout) as { uid: number; ids: number[] }
  deepEqual([reported.uid, reported.ids.length], [1_000, sent])
  stage.noteIds(messages, reported.ids)
  const reading = await b.run(reader)
  equal(reading.exitCode, 0, reading.stderr)
  const expected = messages.map(({ token, headers, isText, bytes }) => [
    token,
    headers === null ? null : (JSON.parse(headers) as unknown),
    isText ? 'string' : 'object',
    createHash('sha256').update(bytes).digest('hex'),
  ])
  deepEqual(JSON.parse(reading.stdout), expected)
  return { MachineB: { MachineA: sent } }
})
