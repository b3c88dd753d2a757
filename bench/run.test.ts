import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Benchmark } from './benchmark.ts'
import { measured } from './measure.ts'
import { runAll } from './run.ts'

const options = {
  quick: true,
  repeats: 3,
  rows: 10,
  over: undefined,
  mbitPerSecond: 20,
  onProgress: () => {},
}

/** Finds these figures in turn; the goal is 8 at least. */
function benchmark(...figures: readonly number[]): Benchmark & { readonly scratches: string[] } {
  const scratches: string[] = []
  return {
    name: 'x',
    about: '',
    isQuick: true,
    scratches,
    run: async ({ scratch }) => {
      writeFileSync(join(scratch, 'file'), 'x')
      scratches.push(scratch)
      const value = figures[scratches.length - 1] ?? 0
      const goal = { type: 'at least', of: 'figure', value: 8 } as const
      return [measured({ what: 'x', unit: '', figures: [value], goal })]
    },
  }
}

test('what is far off its goal is measured once more, and only in a short run', async () => {
  const noisy = benchmark(1, 9)
  equal((await runAll([noisy], options))[0]?.figure.median, 9)
  equal(noisy.scratches.length, 2)
  const long = benchmark(1, 9)
  equal((await runAll([long], { ...options, quick: false }))[0]?.figure.median, 1)
})

test('what is near its goal is not measured again', async () => {
  const one = benchmark(5, 9)
  equal((await runAll([one], options))[0]?.figure.median, 5)
})

test('every look has an empty directory of its own, which is gone afterwards', async () => {
  const one = benchmark(1, 1)
  await runAll([one], options)
  equal(new Set(one.scratches).size, 2)
  deepEqual(
    one.scratches.filter((path) => existsSync(path)),
    [],
  )
})

test('a benchmark that fails ends the run and leaves nothing behind', async () => {
  let scratch = ''
  const broken: Benchmark = {
    ...benchmark(),
    run: async (room) => {
      scratch = room.scratch
      throw new Error('It does not arrive.')
    },
  }
  await rejects(runAll([broken], options), /does not arrive/)
  ok(scratch !== '' && !existsSync(scratch))
})
