/**
 * Small scenarios of what the store does, each played once for every statement that it runs (the
 * slow ones: for some), with a fault exactly there: what comes out is the same each time.
 */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { plays } from './testing/plays.ts'
import { Stage } from './testing/stage.ts'
import { World } from './testing/world.ts'

/** Less, and the scenario did not take place. */
const statementsMin = 20

for (const play of plays) {
  test(`${play.name}: a fault at any statement changes nothing of what comes out`, (t) => {
    const world = World.of(t)
    const stage = new Stage(world)
    t.after(() => stage.close())
    play.prepare?.(stage)
    let faults = 0
    for (const machine of ['a', 'b'] as const) {
      for (let index = 0; ; index += play.stride ?? 1) {
        try {
          // SQLite may or may not roll back by itself, with most faults.
          if (!stage.play(play, { machine, index, rollsBack: index % 2 === 0 })) break
          faults++
        } catch (error) {
          const which = `statement ${index} of ${machine}`
          throw new Error(`a fault at ${which} changes what comes out`, { cause: error })
        }
      }
    }
    t.diagnostic(`${faults} faults`)
    ok(faults >= statementsMin, `only ${faults} faults`)
  })
}
