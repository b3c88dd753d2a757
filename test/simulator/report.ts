/**
 * What a run of seeds shows people: a failing seed with all that is needed to look into it, and the
 * sums at the end. Must never hide a failure behind a figure.
 */
import type { RunResult } from './simulation.ts'

/** @returns the text for a seed that has failed. */
export function failureText({ plan, failure, hash, lastLines }: RunResult): string {
  return [
    ...lastLines.map((line) => `  ${line}`),
    `seed ${plan.seed} has failed (${failure?.checker}): ${failure?.message}`,
    `plan: ${JSON.stringify(plan)}`,
    `trace: ${hash}`,
    `to repeat it: npm run sim -- --seed ${plan.seed} --trace`,
    '',
  ].join('\n')
}

/** Sums over many runs. */
export class Sums {
  readonly #counts = new Map<string, number>()
  readonly #startMs = performance.now()
  #seeds = 0
  #failed = 0
  #simulatedUs = 0

  get failed(): number {
    return this.#failed
  }

  get seeds(): number {
    return this.#seeds
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs
  }

  add({ failure, counts, simulatedUs }: RunResult): void {
    this.#seeds++
    this.#simulatedUs += simulatedUs
    if (failure !== undefined) this.#failed++
    for (const [kind, times] of counts) {
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + times)
    }
  }

  /** `seeds: 200 run, 0 failed, …`, then how often what happened. */
  text(): string {
    const minutes = this.elapsedMs / 60_000
    const hours = this.#simulatedUs / 3.6e9
    const kinds = Array.from(this.#counts).toSorted(([a], [b]) => a.localeCompare(b))
    return [
      ...kinds.map(([kind, times]) => `  ${String(times).padStart(9)}  ${kind}`),
      `seeds: ${this.#seeds} run, ${this.#failed} failed, ` +
        `${(this.#seeds / minutes).toFixed(0)} a minute, ` +
        `${hours.toFixed(1)} hours simulated in ${minutes.toFixed(1)} minutes`,
      '',
    ].join('\n')
  }
}
