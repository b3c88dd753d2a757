/** The program that waits next to a database, run here as it is run in a container. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { scratchPath } from '../../test/support/scratch.ts'
import { open } from '../open.ts'
import { watchCommand, watchTimedOut } from './watch-script.ts'

type Ended = { readonly code: unknown; readonly stdout: string; readonly stderr: string }

async function runWatch(path: string, select: string, withinMs: number): Promise<Ended> {
  const [, ...words] = watchCommand(path, select, withinMs)
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<unknown[]>,
    text(child.stdout),
    text(child.stderr),
  ])
  return { code, stdout, stderr }
}

function database(t: TestContext): [string, ReturnType<typeof open>] {
  const path = scratchPath(t)
  const mq = open(path)
  t.after(() => mq.close())
  return [path, mq]
}

const select = 'SELECT count(*) >= 2 AS isIt, count(*) AS n FROM mqout'

test('it ends when a commit makes the first column true', async (t) => {
  const [path, mq] = database(t)
  const waiting = runWatch(path, select, 30_000)
  mq.send('b', 9_000, '', 'one')
  mq.send('b', 9_000, '', 'two')
  const { code, stdout } = await waiting
  equal(code, 0)
  deepEqual(JSON.parse(stdout), { isIt: 1, n: 2 })
})

test('it gives up in time, and says what there was', async (t) => {
  const [path, mq] = database(t)
  mq.send('b', 9_000, '', 'one')
  const { code, stdout } = await runWatch(path, select, 50)
  equal(code, watchTimedOut)
  deepEqual(JSON.parse(stdout), { isIt: 0, n: 1 })
})

test('what SQLite complains about is on stderr', async (t) => {
  const [path] = database(t)
  const { code, stderr } = await runWatch(path, 'SELECT * FROM nowhere', 50)
  equal(code, 1)
  match(stderr, /no such table: nowhere/)
})
