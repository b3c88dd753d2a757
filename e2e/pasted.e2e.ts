/**
 * The blocks for Compose of README.md and docs/docker.md, pasted in a fresh clone, each line right
 * after the one before it: nothing here waits for the daemons.
 */
import { deepEqual, equal, match } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { text } from 'node:stream/consumers'
import { freePort } from '../test/support/free-port.ts'
import { type Block, blocksOf } from '../test/support/doc-blocks.ts'
import { Clone, gid, uid } from './containers/clone.ts'
import { docker, outcomeOf } from './containers/command.ts'

const image = `tinymq-pasted-e2e:${process.pid}`
const hello = 'HelloMachineBFromMachineA'

let clone: Clone
let environment: Record<string, string>

before(async () => {
  clone = await Clone.make()
  environment = {
    COMPOSE_PROJECT_NAME: `tinymq-pasted-e2e-${process.pid}`,
    TINYMQ_IMAGE: image,
    TINYMQ_BASE: clone.base,
    TINYMQ_UID: String(uid),
    TINYMQ_GID: String(gid),
    TINYMQ_UDP_PORT: String(await freePort()),
  }
  await clone.build(image)
})

after(async () => {
  await down()
  await clone.remove(image)
  await docker('image', 'rm', image)
})

async function down(): Promise<void> {
  const words = ['docker', 'compose', '--profile', 'demo', 'down', '--volumes', '--remove-orphans']
  await outcomeOf(words, { cwd: clone.directory, environment })
}

/** What it printed. As in a terminal, a line that fails does not keep the next one from running. */
async function paste({ text: lines }: Block): Promise<string> {
  const env = { ...process.env, ...environment }
  const child = spawn('bash', [], { cwd: clone.directory, env, stdio: 'pipe' })
  // Bash reads each command when the one before it has ended, as from a terminal.
  child.stdin.end(lines)
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return `${out}\n${err}`
}

function blocks(page: string, sign: RegExp): Block[] {
  return blocksOf(page).filter(
    ({ marks, text: lines }) => marks.includes('docker') && sign.test(lines),
  )
}

test('the block of the README', async (t) => {
  const [block] = blocks('README.md', /docker compose up/)
  if (block === undefined) throw new Error('README.md has no such block.')
  const output = await paste(block)
  t.diagnostic(output)
  match(output, /^healthy: /m)
  equal(/error|no such table|unable to open/i.test(output), false, output)
  const { mode, uid: owner, size } = statSync(clone.path('data/tinymqdb'))
  deepEqual([(mode & 0o777).toString(8), owner, size > 0], ['640', uid, true])
  await down()
})

test('the blocks of docs/docker.md for one node and for three machines', async (t) => {
  const [one, three] = blocks('docs/docker.md', /mode=rw/)
  if (one === undefined || three === undefined)
    throw new Error('docs/docker.md has no such blocks.')
  for (const block of [one, three]) {
    const output = await paste(block)
    t.diagnostic(output)
    match(output, /^healthy: /m)
    equal(/error|no such table|unable to open/i.test(output), false, output)
    if (block === one) match(output, /^1\|MachineB\|/m)
    else match(output, new RegExp(`^1\\|.*\\|${hello}$`, 'm'))
  }
})
