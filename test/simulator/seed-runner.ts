/**
 * Runs seeds one after the other, each in a directory of its own in memory where there is one. Must
 * never leave a file behind.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../daemon/store/store.ts'
import { planOf, type Plan } from './plan.ts'
import { runPlan, type RunOptions, type RunResult } from './simulation.ts'

/** What Linux keeps in memory. */
const memory = '/dev/shm'

/** Where nothing has to outlive the process, and a sync costs nothing if possible. */
export function scratchParent(): string {
  return existsSync(memory) ? memory : tmpdir()
}

export class Seeds implements Disposable {
  readonly #directory: string
  readonly #template: string

  constructor() {
    this.#directory = mkdtempSync(join(scratchParent(), 'tinymq-sim-'))
    this.#template = join(this.#directory, 'template')
    // To make the tables takes longer than many runs: it is done once.
    openStore(this.#template, { isDurable: false }).close()
  }

  run(seed: number, options: Pick<RunOptions, 'onLine' | 'script'> = {}): RunResult {
    return this.runPlan(planOf(seed), options)
  }

  runPlan(plan: Plan, options: Pick<RunOptions, 'onLine' | 'script'> = {}): RunResult {
    const directory = join(this.#directory, `run-${plan.seed}`)
    return runPlan(plan, { ...options, directory, template: this.#template })
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
