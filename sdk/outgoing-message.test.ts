import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, sendStatement } from './index.ts'
import { drivers, scratchPath } from '../test/support/scratch.ts'

for (const [driver, connect] of drivers) {
  test(`${driver}: the statement sends what send sends`, (t) => {
    const db = connect(scratchPath(t))
    const mq = open({ db })
    const message = {
      host: 'b',
      port: 9001,
      token: 't',
      data: new Uint8Array([0]),
      headers: { a: 1 },
    }
    const { sql, parameters } = sendStatement(message)
    db.prepare(sql).run(...parameters)
    mq.sendMany([message])
    const [a, b] = db.prepare('SELECT host, port, token, headers, data FROM mqout').all()
    assert.deepEqual(a, b)
    const bad = sendStatement({ ...message, host: '' })
    assert.throws(() => db.prepare(bad.sql).run(...bad.parameters), /TINYMQ_INVALID_HOST/)
    assert.throws(() => sendStatement({ ...message, data: '\ud800' }), {
      code: 'TINYMQ_INVALID_TEXT',
    })
    mq.close()
    db.close()
  })
}
