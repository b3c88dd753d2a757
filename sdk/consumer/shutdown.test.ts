import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as later } from 'node:timers/promises'
import { open } from '../index.ts'
import { scratchPath, shell } from '../../test/support/scratch.ts'

const arrive = "INSERT INTO mqin (arrived_at, data) VALUES (1, 'a');"

/** What a program prints and how it ends: an unhandled rejection would end it with 1. */
function program(text: string, ...values: string[]): { code: number | null; output: string } {
  const index = join(import.meta.dirname, '..', 'index.ts')
  const load = `import { open } from ${JSON.stringify(index)}\n`
  const words = ['--input-type=module', '--eval', load + text, ...values]
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  return { code: status, output: `${stdout}${stderr}` }
}

test('close under a consumer that nobody waits for does not end the process', (t) => {
  const text = `
    const mq = open(process.argv[1])
    void mq.consume(() => undefined)
    void mq.consumeInTransaction(() => undefined)
    setTimeout(() => mq.close(), 50)
    setTimeout(() => console.log('alive'), 100)`
  assert.deepEqual(program(text, scratchPath(t)), { code: 0, output: 'alive\n' })
})

test('a consumer that nobody waits for and that fails ends the process, with the reason', (t) => {
  const text = `
    const mq = open(process.argv[1])
    void mq.consume(() => undefined, { concurrency: 0 })`
  const { code, output } = program(text, scratchPath(t))
  assert.equal(code, 1)
  assert.match(output, /concurrency must be a whole number, 1 or more/)
})

test('who waits for a consumer is informed that the connection was closed', async (t) => {
  const mq = open(scratchPath(t))
  const consumed = mq.consume(() => undefined)
  await later(20)
  mq.close()
  await assert.rejects(consumed, { code: 'TINYMQ_CLOSED' })
})

test('drain before the consumer begins is no less: a signal may come so early', async (t) => {
  const path = scratchPath(t)
  const mq = open(path)
  t.after(() => mq.close())
  shell(path, arrive)
  await mq.drain()
  const never = (): void => assert.fail('it took a message')
  await mq.consume(never)
  await mq.consumeInTransaction(never)
  for await (const _ of mq.inbox()) never()
  assert.equal(Array.from(mq.readInbox()).length, 1)
  // The next connection is another one.
  using other = open(path)
  await other.consume(() => void other.drain())
  assert.equal(Array.from(mq.readInbox()).length, 0)
})
