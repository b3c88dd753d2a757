import { equal, match } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { planOf } from './plan.ts'
import { failureText, Sums } from './report.ts'
import type { RunResult } from './simulation.ts'

const main = join(import.meta.dirname, 'main.ts')

type Said = { readonly status: number | null; readonly out: string; readonly err: string }

function sim(...args: string[]): Said {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
  })
  return { status, out: stdout, err: stderr }
}

test('a seed is run twice, and has the same trace', () => {
  const [first, again] = [sim('--seed', '3'), sim('--seed', '3')]
  equal(first.status, 0)
  const hash = /^trace: [0-9a-f]{64}$/m
  match(first.out, hash)
  equal(hash.exec(first.out)?.[0], hash.exec(again.out)?.[0])
  match(first.out, /^seeds: 1 run, 0 failed/m)
})

test('a trace shows every datagram', () => {
  match(sim('--seed', '3', '--trace').out, /^\d+\.\d{6} send 256 /m)
})

test('what makes no sense is rejected with the usage', () => {
  for (const args of [['--seed', '0'], ['--seeds', 'x'], ['--minutes', '-1'], ['--what']]) {
    const { status, err } = sim(...args)
    equal(status, 2, args.join(' '))
    match(err, /Usage: npm run sim/)
  }
})

const failed: RunResult = {
  plan: planOf(42),
  failure: { checker: 'once', message: 'b gets message 7 twice.' },
  hash: 'abc',
  lastLines: ['1.000000 kill b'],
  counts: new Map([['kill', 1]]),
  simulatedUs: 3_600_000_000,
}

test('a failure comes with its seed, its last lines and the command that repeats it', () => {
  const text = failureText(failed)
  match(text, /1\.000000 kill b\n/)
  match(text, /seed 42 has failed \(once\): b gets message 7 twice\./)
  match(text, /npm run sim -- --seed 42 --trace/)
})

test('sums count seeds, failures, faults and hours', () => {
  const sums = new Sums()
  sums.add(failed)
  sums.add({ ...failed, failure: undefined })
  equal(sums.failed, 1)
  match(sums.text(), /^ +2 {2}kill$/m)
  match(sums.text(), /seeds: 2 run, 1 failed, \d+ a minute, 2\.0 hours simulated/)
})
