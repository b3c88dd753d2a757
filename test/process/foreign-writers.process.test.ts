/** Other programs that write to the database of a daemon at work. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { sql } from '../support/sqlite-shell.ts'

/** Fewer drain before the shells have written often. */
const backlogRows = Math.max(40_000, scaled(200_000))

type Writes = { tried: number; locked: number; slowestMs: number }

/**
 * Runs one `sqlite3` after the other while `goesOn`; how often it read that the database is
 * locked.
 */
async function writeWhile(
  goesOn: () => boolean,
  { database }: Machine,
  timeoutMs: number | 'none',
  statement: (tried: number) => string,
): Promise<Writes> {
  const writes: Writes = { tried: 0, locked: 0, slowestMs: 0 }
  while (goesOn()) {
    const start = performance.now()
    try {
      await sql(database, statement(writes.tried + 1), { timeoutMs })
      writes.tried++
    } catch (error) {
      if (!/database is locked/.test((error as Error).message)) throw error
      writes.locked++
    }
    writes.slowestMs = Math.max(writes.slowestMs, performance.now() - start)
  }
  return writes
}

function shown(name: string, { tried, locked, slowestMs }: Writes): string {
  return `${name}: ${tried} written, ${locked} times locked, slowest ${slowestMs.toFixed(0)} ms`
}

const skip = needs('sqlite3')

test(
  'P9: with .timeout no sqlite3 ever finds the database locked by busy daemons',
  { skip },
  async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a'), await scene.running('b')]
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: backlogRows }))
    let isDraining = true
    const goesOn = (): boolean => isDraining
    const note = (i: number): string =>
      `CREATE TABLE IF NOT EXISTS note (i); INSERT INTO note VALUES (${i});`
    const writers = [
      writeWhile(goesOn, a, 5_000, (i) =>
        insertNumbered({ sender: 'w', to: b, first: i, last: i }),
      ),
      writeWhile(goesOn, b, 5_000, note),
      writeWhile(goesOn, a, 'none', (i) =>
        insertNumbered({ sender: 'v', to: b, first: i, last: i }),
      ),
    ]
    await b.shows(
      `SELECT seq >= ${backlogRows} FROM sqlite_sequence WHERE name = 'mqin';`,
      /^1$/,
      120_000,
    )
    isDraining = false
    const [patient, consumer, hasty] = await Promise.all(writers)
    ok(patient !== undefined && consumer !== undefined && hasty !== undefined)
    t.diagnostic(shown('with .timeout at the sender', patient))
    t.diagnostic(shown('with .timeout at the receiver', consumer))
    t.diagnostic(shown('without .timeout at the sender', hasty))
    ok(patient.locked + consumer.locked === 0, 'Nobody who waits was informed that it is locked.')
    ok(patient.tried > 20 && consumer.tried > 20, 'They wrote while the daemons worked.')
    await a.sentAll(60_000)
    checkInbox(b.database, { a: backlogRows, w: patient.tried, v: hasty.tried })
  },
)
