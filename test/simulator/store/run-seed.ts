/**
 * One random run of stores from a seed, in files of its own. Must never be used outside tests.
 */
import { Scenario, type Faults } from './scenario.ts'
import type { World } from './world.ts'

/** @throws when a promise is broken: the error names the seed, and its cause says what is wrong. */
export function runSeed(world: World, seed: number, faults: Faults): void {
  const own = world.again(seed)
  const scenario = new Scenario(own, faults)
  try {
    scenario.run()
  } catch (error) {
    throw new Error(`seed ${seed} has failed`, { cause: error })
  } finally {
    scenario.close()
    own.remove()
  }
}

/** Of runs in which any statement may fail. */
export const statementFaults: Faults = {
  restores: false,
  large: false,
  steps: 60,
  statements: 0.01,
}

/** Of runs with rows that no program of ours would write, and with restored files. */
export const oddRows: Faults = { restores: true, large: false, steps: 60, odd: 0.5 }
