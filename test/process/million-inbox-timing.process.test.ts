/** How soon a consumer gets a message when a million of others wait. */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { open } from '../../sdk/index.ts'
import { ConsumedInbox } from '../support/consumed-inbox.ts'
import { scaled } from '../support/scale.ts'

test('a million rows in the inbox: the first one under a token is claimed soon', async (t) => {
  const inbox = new ConsumedInbox(t)
  const count = scaled(1_000_000)
  inbox.arrive(count)
  const early = Math.floor(count / 100)
  for (const [token, id] of [
    ['early', early],
    ['late', count],
  ] as const) {
    inbox.db.exec(`UPDATE mqin SET token = '${token}' WHERE id = ${id}`)
    inbox.db.pragma('wal_checkpoint(TRUNCATE)')
    using mq = open({ db: inbox.db })
    const startMs = performance.now()
    for await (const message of mq.inbox({ token })) {
      const tookMs = performance.now() - startMs
      equal(message.id, id)
      t.diagnostic(`${token}: ${tookMs.toFixed(1)} ms`)
      // The last of a million is found after all others were passed over.
      ok(tookMs < (token === 'early' ? 200 : 1_500), `${tookMs} ms`)
      break
    }
  }
})

test('a million rows in the inbox: the next one is claimed within 200 ms', async (t) => {
  const inbox = new ConsumedInbox(t)
  inbox.arrive(scaled(1_000_000))
  // As the daemon does all the time: otherwise our first commit pays for the rows above.
  inbox.db.pragma('wal_checkpoint(TRUNCATE)')
  using mq = open({ db: inbox.db })
  for (const held of [0, 50, 5_000]) {
    inbox.db.exec(`
      INSERT OR REPLACE INTO mqlease (id, owner, until, attempts)
      SELECT id, 'another', ${Date.now() + 1_000_000}, 1 FROM mqin ORDER BY id LIMIT ${held}`)
    const startMs = performance.now()
    for await (const message of mq.inbox()) {
      const tookMs = performance.now() - startMs
      equal(message.id, held + 1)
      t.diagnostic(`with ${held} of them held by others: ${tookMs.toFixed(1)} ms`)
      ok(tookMs < 200, `${tookMs} ms`)
      break
    }
    inbox.db.exec('DELETE FROM mqlease')
  }
})
