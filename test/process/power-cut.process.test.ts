/** Power cuts and failing disks under real daemons. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { needs } from '../support/needs.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { type Fault, PowerDisk } from '../power/power-disk.ts'
import { PowerRun } from '../power/power-run.ts'

const cuts = scaled(40)
const troubles = scaled(20)
const upMsMax = 700
const troubleMsMax = 400

// The disk is a library in front of that of C, which only Linux can do.
const skip = needs('cc') || (process.platform !== 'linux' && 'needs Linux')
/**
 * What informs an operator when the disk is broken: a supervisor starts the daemon again.
 */
const ioError = 74

type Disease = {
  readonly name: string
  readonly failing: readonly Fault[]
  readonly mayEndWith: number | undefined
}

const diseases: readonly Disease[] = [
  {
    name: 'a disk that is full or writes less than it should',
    failing: ['full disk (ENOSPC)', 'short writes'],
    mayEndWith: undefined,
  },
  {
    name: 'a disk that fails to write or to sync',
    failing: ['failed writes (EIO)', 'failed syncs (EIO)'],
    mayEndWith: ioError,
  },
]

test('P1, P3, P5: the power fails again and again: once, in order', { skip }, async (t) => {
  const random = new SeededRandom(11)
  const run = await PowerRun.begin(new TestEnvironment(t), random)
  while (run.cuts < cuts) {
    for (const place of run.places) await run.send(place, random.chance(0.6))
    await sleep(random.next() * upMsMax)
    await run.cut(random.one([[run.a], [run.b], run.places]))
  }
  const problems = await run.verdict()
  t.diagnostic(`${run.cuts} power cuts, ${run.ledger.sent} rows, ${run.ledger.arrived} arrived`)
  deepEqual(problems, [])
  ok(run.ledger.arrived > 5 * cuts)
})

for (const { name, failing, mayEndWith } of diseases) {
  test(`P1, P3, P5, P9: ${name} now and then, and power cuts`, { skip }, async (t) => {
    const random = new SeededRandom(12)
    const run = await PowerRun.begin(new TestEnvironment(t), random, mayEndWith)
    for (let trouble = 0; trouble < troubles; trouble++) {
      for (const place of run.places) await run.send(place, true)
      const place = random.one(run.places)
      await run.trouble(place, random.one(failing), random.next() * troubleMsMax)
      if (random.chance(0.3)) await run.cut([place])
    }
    const problems = await run.verdict()
    const lives = run.a.machine.lives + run.b.machine.lives
    t.diagnostic(
      `${troubles} troubles, ${run.cuts} power cuts, ${lives - 2 - run.cuts} daemons that gave ` +
        `up, ${run.failedInserts} inserts that failed, ${run.ledger.sent} rows, ` +
        `${run.ledger.arrived} arrived`,
    )
    deepEqual(problems, [])
  })
}

test('P9: a quota that is used up is waited for as a full disk is', { skip }, async (t) => {
  const run = await PowerRun.begin(new TestEnvironment(t), new SeededRandom(14))
  const { a, b } = run
  await run.send(a, true)
  await a.machine.sentAll(20_000)
  b.disk.fail('spent quota (EDQUOT)')
  await run.send(a, true)
  const { level, ...line } = await b.machine.logs('store-waits', 20_000)
  deepEqual([level, line['code']], ['error', 'TINYMQ_DISK_FULL'])
  match(String(line['reason']), /a quota of the disk is used up/)
  b.disk.fail('none')
  await a.machine.sentAll(20_000)
  equal(b.machine.lives, 1)
  deepEqual(await run.verdict(), [])
})

test('where a quota lets no file be made, a start says so', { skip }, (t) => {
  const { directory } = new TestEnvironment(t)
  const disk = new PowerDisk(directory, 'none')
  disk.fail('spent quota of files (EDQUOT)')
  const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')
  const [command = '', ...rest] = disk.prefix
  const arguments_ = [...rest, process.execPath, program, '9000', disk.database]
  const { status, stderr } = spawnSync(command, arguments_, { encoding: 'utf8' })
  equal(status, ioError, stderr)
  match(stderr, /a quota of the disk is used up .*\(TINYMQ_DISK_FULL\)/)
})

test('with a disk that lies about syncs rows are lost, and it is found', { skip }, async (t) => {
  const run = await PowerRun.begin(new TestEnvironment(t), new SeededRandom(13))
  await run.send(run.a, true)
  await run.a.machine.sentAll(20_000)
  run.b.disk.fail('syncs that lie')
  for (let batch = 0; batch < 5; batch++) await run.send(run.a, true)
  await run.a.machine.sentAll(20_000)
  await run.cut([run.b])
  await run.send(run.a, true)
  const problems = await run.verdict()
  ok(
    problems.some((problem) => problem.startsWith('lost: a:')),
    problems.join('\n'),
  )
  ok(
    problems.some((problem) => problem.includes('PEER_ROLLED_BACK')),
    problems.join('\n'),
  )
})
