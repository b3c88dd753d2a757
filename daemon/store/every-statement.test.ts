/**
 * Small scenarios of what the store does, each played again and again with a fault at another
 * statement: what comes out is the same each time. By default at every eleventh;
 * TINYMQ_TEST_SCALE=11, as in `npm run test:long`: at each (the slow ones: at every fifth).
 */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { scaled } from '../../test/support/scale.ts'
import { plays } from '../../test/simulator/store/plays.ts'
import { Stage } from '../../test/simulator/store/fixture.ts'
import { World } from '../../test/simulator/store/world.ts'

const sparse = Math.max(1, Math.round(11_000 / scaled(1_000)))

/** Less, and the scenario did not take place. */
const statementsMin = 20

for (const play of plays) {
  test(`${play.name}: a fault at any statement changes nothing of what comes out`, (t) => {
    const world = World.of(t)
    const stage = new Stage(world)
    t.after(() => stage.close())
    play.prepare?.(stage)
    const stride = sparse * (play.stride ?? 1)
    let faults = 0
    for (const machine of ['a', 'b'] as const) {
      // A database remembers each restore: later plays have more statements, without end.
      const statements = stage.statementsOf(play, machine)
      for (let index = 0; index < statements; index += stride) {
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
    ok(faults * stride >= statementsMin, `only ${faults} faults`)
  })
}
