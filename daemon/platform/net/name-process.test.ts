import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { NameProcess } from './name-process.ts'
import { Resolver, type Resolved } from './resolver.ts'

/** What stands for the process, as a program of its own. */
function programOf(context: TestContext, text: string): URL {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-names-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'program.mjs')
  writeFileSync(path, text)
  return pathToFileURL(path)
}

async function resolved(names: NameProcess, host: string): Promise<Resolved> {
  const { promise, resolve } = Promise.withResolvers<Resolved>()
  const resolver = new Resolver(resolve, 1, names.lookup)
  resolver.resolve(host)
  const answer = await promise
  resolver.stop()
  return answer
}

function isLoopback({ ips }: Resolved): boolean {
  return ips.some((ip) => ip === '127.0.0.1' || ip === '::1')
}

test('the system is asked in a process of its own, for several names at once', async (context) => {
  const names = new NameProcess(undefined, 0)
  context.after(() => names.stop())
  const both = ['localhost', 'no.such.name.invalid'].map(async (host) => resolved(names, host))
  const [here, nowhere] = await Promise.all(both)
  ok(here !== undefined && isLoopback(here))
  deepEqual(nowhere?.ips, [])
  ok(nowhere.reason !== '')
})

const skip = !('execve' in process) && 'Node.js before 22.15 asks in the other process only'

test('for names that are found at once no process is started', { skip }, async (context) => {
  const text = `
    import { writeFileSync } from 'node:fs'
    writeFileSync(new URL('started', import.meta.url), '')`
  const program = programOf(context, text)
  const names = new NameProcess(program)
  context.after(() => names.stop())
  for (let looks = 0; looks < 3; looks++) ok(isLoopback(await resolved(names, 'localhost')))
  equal(names.isRunning, false)
})

const faults: Readonly<Record<string, string>> = {
  'cannot be loaded': 'import "../../nothing.mjs"',
  'ends when it is asked': 'process.on("message", () => process.exit(1))',
}

for (const [fault, text] of Object.entries(faults)) {
  test(`this process asks the system when the other one ${fault}`, async (context) => {
    const names = new NameProcess(programOf(context, text), 0)
    context.after(() => names.stop())
    ok(isLoopback(await resolved(names, 'localhost')))
    ok(isLoopback(await resolved(names, 'localhost')))
  })
}

test('a process that hangs is ended with the one that asks', async (context) => {
  const text = `
    import { writeFileSync } from 'node:fs'
    process.on('SIGTERM', () => {})
    process.on('message', () => {
      writeFileSync(new URL('pid', import.meta.url), String(process.pid))
      for (;;) ;
    })`
  const program = programOf(context, text)
  const names = new NameProcess(program, 0)
  names.lookup('slow.example', () => ok(false, 'It was answered.'))
  const pid = await context.waitFor(() => Number(readFileSync(new URL('pid', program), 'utf8')), {
    timeout: 20_000,
  })
  ok(pid > 0)
  names.stop()
  await context.waitFor(() => equal(isRunning(pid), false), { timeout: 20_000 })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
