/**
 * A daemon that does not move for a while: a suspended laptop, a paused container, a machine that
 * swaps.
 */
import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { sql } from '../support/sqlite-shell.ts'

const messages = scaled(100_000)
/** Sent while somebody does not move: where all others have arrived by then, these are left. */
const late = messages / 10
const frozenMs = 10_000
const goOnMsMax = 3_000

for (const who of ['sender', 'receiver'] as const) {
  test(`P3, P4, P12: a ${who} that does not move for ten seconds goes on`, async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a'), await scene.running('b')]
    const { daemon } = who === 'sender' ? a : b
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: messages }))
    await b.shows(`SELECT count(*) > ${messages / 20} FROM mqin;`, /^1$/)
    daemon.signal('SIGSTOP')
    const before = Number(await b.sql('SELECT count(*) FROM mqin;'))
    // A daemon that is stopped in the middle of a transaction holds the lock until it goes on.
    const isLateIn = sql(
      a.database,
      insertNumbered({ sender: 'late', to: b, first: 1, last: late }),
      {
        timeoutMs: 2 * frozenMs,
      },
    )
    await sleep(frozenMs)
    daemon.signal('SIGCONT')
    const start = performance.now()
    // What was on its way into the database at that moment is not counted.
    const news = `SELECT count(*) >= ${before} + ${late} FROM mqin;`
    await b.shows(news, /^1$/, goOnMsMax)
    const wentOnMs = performance.now() - start
    await isLateIn
    await a.sentAll(60_000)
    const tookMs = performance.now() - start
    t.diagnostic(
      `${before} had arrived before; it went on within ${wentOnMs.toFixed(0)} ms, and the rest ` +
        `had arrived after ${tookMs.toFixed(0)} ms`,
    )
    checkInbox(b.database, { a: messages, late })
    equal(a.lives + b.lives, 2)
  })
}
