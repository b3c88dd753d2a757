/**
 * Runs benchmarks one after the other and gathers what they find. A benchmark that fails is
 * reported and ends the run: a table with a hole would look like a good one. One that this machine
 * cannot run is left out, and reported.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Benchmark, Room } from './benchmark.ts'
import { better, isRegression } from './regression-gate.ts'
import type { Measure } from './measure.ts'

export type RunOptions = Omit<Room, 'scratch'> & {
  /** Reported of each benchmark when it begins and when it has ended. */
  readonly onProgress: (sentence: string) => void
}

/** With `quick`, what falls below the guard's floor is measured once more. */
export async function runAll(
  benchmarks: readonly Benchmark[],
  options: RunOptions,
): Promise<Measure[]> {
  const measures: Measure[] = []
  for (const benchmark of benchmarks) {
    const whyNot = benchmark.whyNot?.(options)
    if (whyNot !== undefined) {
      options.onProgress(`${benchmark.name}: left out, ${whyNot}`)
      continue
    }
    const startMs = performance.now()
    options.onProgress(`${benchmark.name}: ${benchmark.about}`)
    const first = await runOne(benchmark, options)
    const isDoubtful = options.quick && first.some(isRegression)
    if (isDoubtful) options.onProgress(`${benchmark.name}: far off a goal, measured once more`)
    const second = isDoubtful ? await runOne(benchmark, options) : []
    measures.push(...first.map((measure, index) => better(measure, second[index])))
    const seconds = Math.round((performance.now() - startMs) / 1_000)
    options.onProgress(`${benchmark.name}: ${seconds} s`)
  }
  return measures
}

async function runOne({ name, run }: Benchmark, options: RunOptions): Promise<Measure[]> {
  const scratch = mkdtempSync(join(tmpdir(), `tinymq-bench-${name}-`))
  try {
    return await run({ ...options, scratch })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
