import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { open, TinymqError, type OutgoingMessage, type Tinymq } from './index.ts'
import type { SqliteHandle } from './schema/sqlite-handle.ts'
import { drivers, scratchPath, shell } from '../test/support/scratch.ts'
import { scaled } from '../test/support/scale.ts'

// Stands in for the daemons: what was sent arrives, as it was.
const arrive = `
  INSERT INTO mqin
    (host, port, token, sent_at, arrived_at, sender, sender_row, headers, data)
  SELECT host, port, token, created_at, created_at + 1, 1, id, headers, data FROM mqout ORDER BY id;
  DELETE FROM mqout;`

const data: readonly (readonly [string, string | Uint8Array])[] = [
  ['the empty string', ''],
  ['64,000 characters', 'x'.repeat(64_000)],
  ['1 MiB', '0123456789abcdef'.repeat(65_536)],
  ['emoji', '😀👩‍👩‍👧‍👦🏳️‍🌈'],
  ['combining characters', 'e\u0301 a\u0308\u0323 \u0928\u093f'],
  ['newlines', 'a\nb\r\nc\r\u2028d\n'],
  ['colons and quotes', `:a:'b'"c"\`d\`;--"''`],
  ['NUL', '\0a\0\0b\0'],
  ['a byte order mark', '\ufefftext'],
  ['the last code points', '\uffff\u{10ffff}'],
  ['no bytes', new Uint8Array(0)],
  ['all bytes', Uint8Array.from({ length: 256 }, (_, byte) => byte)],
  ['1 MiB of bytes', new Uint8Array(1_048_576).fill(0xfe)],
]

for (const [driver, connect] of drivers) {
  test(`${driver}: data comes out of the inbox as it went into the outbox`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    for (const [, value] of data) mq.send('b', 9000, '', value)
    assert.deepEqual(shell(path, arrive), { ok: true, output: '' })
    const arrived = Array.from(mq.readInbox(), (message) => message.data)
    for (const [at, [name, value]] of data.entries()) assert.deepEqual(arrived[at], value, name)
    assert.equal(arrived.length, data.length)
  })

  test(`${driver}: any text, bytes and headers come out as they went in`, (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed())
    const headers = fc.option(fc.dictionary(fc.string(), fc.jsonValue()), { nil: undefined })
    const token = fc.string({ maxLength: 60 })
    const message = fc.record({ data: fc.oneof(text, fc.uint8Array()), headers, token })
    fc.assert(
      fc.property(message, (sent) => {
        mq.send('b', 9000, sent.token, sent.data, { headers: sent.headers })
        db.exec(arrive)
        const [arrived] = mq.readInbox()
        db.exec('DELETE FROM mqin')
        assert.deepEqual(arrived?.data, sent.data)
        assert.equal(arrived.token, sent.token)
        assert.equal(JSON.stringify(arrived.headers), JSON.stringify(sent.headers ?? null))
      }),
      { numRuns: scaled(200) },
    )
  })

  test(`${driver}: a send belongs to the transaction that is open`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    const count = (): string => shell(path, 'SELECT count(*) FROM mqout;').output
    db.exec('BEGIN')
    mq.send('b', 9000, '', 'taken back')
    assert.equal(count(), '0')
    db.exec('ROLLBACK')
    assert.equal(count(), '0')
    db.exec('BEGIN')
    mq.send('b', 9000, '', 'kept')
    mq.sendMany([{ host: 'b', data: 'kept too' }])
    db.exec('COMMIT')
    assert.equal(count(), '2')
  })

  test(`${driver}: sendMany sends all or nothing, also within a transaction`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    const good: OutgoingMessage = { host: 'b', port: 9001, token: 't', data: 'x' }
    assert.deepEqual(mq.sendMany([good, { host: 'c', data: 'y', headers: { a: 1 } }]), [1, 2])
    assert.deepEqual(mq.sendMany([]), [])
    assert.throws(() => mq.sendMany([good, { host: '', data: 'y' }]), {
      code: 'TINYMQ_INVALID_HOST',
    })
    db.exec('BEGIN')
    mq.send('b', 9000, '', 'before')
    assert.throws(() => mq.sendMany([good, { host: '', data: 'y' }]), {
      code: 'TINYMQ_INVALID_HOST',
    })
    mq.sendMany([good])
    db.exec('COMMIT')
    const { output } = shell(path, 'SELECT host, port, token, headers, data FROM mqout;')
    assert.deepEqual(output.split('\n'), [
      'b|9001|t||x',
      'c|9000||{"a":1}|y',
      'b|9000|||before',
      'b|9001|t||x',
    ])
  })

  test(`${driver}: what could never arrive is rejected with its code and a hint`, (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    const send = mq.send.bind(mq) as (...values: unknown[]) => number
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const calls: readonly (readonly [string, unknown[]])[] = [
      ['TINYMQ_INVALID_HOST', ['', 9000, '', 'x']],
      ['TINYMQ_INVALID_HOST', [undefined, 9000, '', 'x']],
      ['TINYMQ_INVALID_HOST', [{}, 9000, '', 'x']],
      ['TINYMQ_INVALID_HOST', ['a b', 9000, '', 'x']],
      ['TINYMQ_INVALID_PORT', ['b', 0, '', 'x']],
      ['TINYMQ_INVALID_PORT', ['b', Number.NaN, '', 'x']],
      ['TINYMQ_INVALID_PORT', ['b', 9000.5, '', 'x']],
      ['TINYMQ_INVALID_PORT', ['b', {}, '', 'x']],
      ['TINYMQ_INVALID_TOKEN', ['b', 9000, 5, 'x']],
      ['TINYMQ_INVALID_TOKEN', ['b', 9000, 'é'.repeat(128), 'x']],
      ['TINYMQ_NO_DATA', ['b', 9000, '']],
      ['TINYMQ_NO_DATA', ['b', 9000, '', null]],
      ['TINYMQ_INVALID_DATA', ['b', 9000, '', 5]],
      ['TINYMQ_INVALID_DATA', ['b', 9000, '', { a: 1 }]],
      ['TINYMQ_INVALID_TEXT', ['b', 9000, '', 'half \ud83d of a pair']],
      ['TINYMQ_INVALID_TEXT', ['b\udc00', 9000, '', 'x']],
      ['TINYMQ_INVALID_TEXT', ['b', 9000, '\udc00', 'x']],
      ['TINYMQ_INVALID_HEADERS', ['b', 9000, '', 'x', { headers: [1] }]],
      ['TINYMQ_INVALID_HEADERS', ['b', 9000, '', 'x', { headers: 'a' }]],
      ['TINYMQ_INVALID_HEADERS', ['b', 9000, '', 'x', { headers: new Map([['a', 1]]) }]],
      ['TINYMQ_INVALID_HEADERS', ['b', 9000, '', 'x', { headers: new Headers({ a: 'b' }) }]],
      ['TINYMQ_INVALID_HEADERS', ['b', 9000, '', 'x', { headers: circular }]],
      ['TINYMQ_TOO_LARGE', ['b', 9000, '', 'x', { headers: { a: 'x'.repeat(65_536) } }]],
    ]
    for (const [code, values] of calls) {
      assert.throws(
        () => send(...values),
        (error) => {
          assert.ok(error instanceof TinymqError)
          assert.equal(error.code, code, error.message)
          assert.ok(error.hint.length > 10)
          assert.equal(error.retryable, false)
          return true
        },
      )
    }
    assert.equal(mq.send('b', 9000, '', 'the first id is not wasted'), 1)
  })

  test(`${driver}: every kind of buffer is sent as its bytes`, (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    const { buffer } = Uint8Array.of(9, 1, 2, 3, 4, 9)
    const expected = Uint8Array.of(1, 2, 3, 4)
    mq.send('b', 9000, '', new Uint8Array(buffer, 1, 4))
    mq.send('b', 9000, '', Buffer.from(buffer, 1, 4))
    mq.send('b', 9000, '', new DataView(buffer, 1, 4))
    mq.send('b', 9000, '', new Int8Array(buffer, 1, 4))
    mq.send('b', 9000, '', expected.buffer)
    db.exec(arrive)
    for (const message of mq.readInbox()) assert.deepEqual(message.data, expected)
  })

  test(`${driver}: the inbox is read by id, after one, up to a number, by token`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    const many = Array.from({ length: 600 }, (_, at) => ({
      host: 'b',
      token: at % 2 === 0 ? 'even' : 'odd',
      data: String(at),
    }))
    mq.sendMany(many)
    db.exec(arrive)
    const read = (options?: Parameters<Tinymq['readInbox']>[0]): string =>
      Array.from(mq.readInbox(options), ({ data }) => data).join()
    const all = many.map((message) => message.data)
    assert.equal(read(), all.join())
    assert.equal(read({ after: 590 }), all.slice(590).join())
    assert.equal(read({ limit: 300 }), all.slice(0, 300).join())
    assert.equal(read({ limit: 0 }), '')
    assert.equal(read({ token: 'odd', after: 594, limit: 2 }), '595,597')
    assert.equal(read({ token: 'neither' }), '')
    assert.equal(read({ after: 1000 }), '')
    for (const options of [{ after: 0.5 }, { limit: -1 }, { limit: Number.NaN }]) {
      assert.throws(() => mq.readInbox(options), { code: 'TINYMQ_INVALID_ARGUMENT' })
    }
  })

  test(`${driver}: reading the inbox holds nothing open and ends where it began`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    mq.sendMany(Array.from({ length: 5 }, () => ({ host: 'b', data: 'x'.repeat(700_000) })))
    db.exec(arrive)
    let steps = 0
    for (const message of mq.readInbox()) {
      steps += 1
      const checkpoint = 'PRAGMA wal_checkpoint(TRUNCATE);'
      assert.match(shell(path, checkpoint).output, /^0\|0\|0$/)
      db.exec(`DELETE FROM mqin WHERE id = ${message.id}; INSERT INTO mqin (data) VALUES ('more')`)
    }
    assert.equal(steps, 5)
  })

  test(`${driver}: a message can be sent on as it came, with headers and without`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    db.exec("INSERT INTO mqin (headers, data) VALUES (NULL, 'a'), ('{\"b\":1}', 'b')")
    for (const { token, data, headers } of mq.readInbox()) {
      mq.send('b', 9000, token, data, { headers })
      mq.sendMany([{ host: 'b', token, data, headers }])
    }
    const { output } = shell(path, "SELECT coalesce(headers, 'NULL'), data FROM mqout ORDER BY id;")
    assert.deepEqual(output.trim().split('\n'), ['NULL|a', 'NULL|a', '{"b":1}|b', '{"b":1}|b'])
  })

  test(`${driver}: a message shows where it came from, when, and with which headers`, (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    db.exec(`INSERT INTO mqin
      (host, port, token, sent_at, arrived_at, sender, sender_row, headers, data) VALUES
      ('192.0.2.1', 9001, 't', 1000, 2000, 3, 77, '{"a":[1]}', 'x'),
      (NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'not json', 'x'),
      (NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[1]', NULL)`)
    const [first, second, third] = mq.readInbox()
    assert.deepEqual(first, {
      id: 1,
      host: '192.0.2.1',
      port: 9001,
      token: 't',
      data: 'x',
      headers: { a: [1] },
      headersText: '{"a":[1]}',
      sentAt: new Date(1000),
      arrivedAt: new Date(2000),
      sender: 3,
      senderRow: 77,
    })
    assert.deepEqual([second?.headers, second?.headersText], [null, 'not json'])
    assert.deepEqual([third?.headers, third?.headersText, third?.data], [null, '[1]', ''])
  })

  test(`${driver}: cancel deletes the row, once`, (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    const id = mq.send('b', 9000, '', 'x')
    assert.equal(mq.cancel(id), true)
    assert.equal(mq.cancel(id), false)
    assert.throws(() => mq.cancel(1.5), { code: 'TINYMQ_INVALID_ARGUMENT' })
  })

  test(`${driver}: after close, or after the connection is closed, every call says so`, (t) => {
    const db: SqliteHandle = connect(scratchPath(t))
    const mq = open({ db })
    mq.close()
    mq.close()
    assert.throws(() => mq.send('b', 9000, '', 'x'), { code: 'TINYMQ_CLOSED' })
    using other = open({ db })
    db.close()
    assert.throws(() => other.send('b', 9000, '', 'x'), { code: 'TINYMQ_CLOSED' })
    assert.throws(() => Array.from(other.readInbox()), { code: 'TINYMQ_CLOSED' })
  })

  test(`${driver}: what another connection holds locked is an error to retry`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    db.exec('PRAGMA busy_timeout = 0')
    const locker = connect(path)
    locker.exec('BEGIN IMMEDIATE')
    const isBusy = { code: 'TINYMQ_BUSY', retryable: true }
    assert.throws(() => mq.send('b', 9000, '', 'x'), isBusy)
    assert.throws(() => mq.sendMany([{ host: 'b', data: 'x' }]), isBusy)
    locker.close()
    assert.equal(mq.send('b', 9000, '', 'x'), 1)
  })
}

test('settings that an application has given its connection do not matter', async (t) => {
  const path = scratchPath(t)
  const { DatabaseSync } = await import('node:sqlite')
  const settings: object = { readBigInts: true, returnArrays: true }
  const db = new DatabaseSync(path, settings)
  t.after(() => db.close())
  using mq = open({ db })
  assert.equal(mq.send('b', 9000, '', 'x'), 1)
  db.exec(arrive)
  const [message] = mq.readInbox()
  assert.equal(message?.id, 1)
})

test('open rejects what is neither a path nor a connection', () => {
  const anything = open as (target: unknown) => unknown
  for (const target of [undefined, null, {}, { db: {} }, 5]) {
    assert.throws(() => anything(target), { code: 'TINYMQ_INVALID_ARGUMENT' })
  }
})

test('the SDK with a node:sqlite connection never loads better-sqlite3', () => {
  const program = `
    import { DatabaseSync } from 'node:sqlite'
    import { open } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)}
    using mq = open({ db: new DatabaseSync(':memory:') })
    mq.send('b', 9000, '', 'x')
    const { sharedObjects } = process.report.getReport()
    process.stdout.write(String(sharedObjects.some((name) => /better.sqlite/.test(name))))`
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--no-warnings', '--eval', program],
    { encoding: 'utf8' },
  )
  assert.deepEqual([stdout, stderr], ['false', ''])
})

for (const [driver, connect] of drivers) {
  test(`${driver}: a message of a time that no calendar has is read as one without`, async (t) => {
    const db = connect(scratchPath(t))
    const mq = open({ db })
    for (const time of ['9000000000000000', '9223372036854775807', "'no time'"]) {
      db.exec(`INSERT INTO mqin (sent_at, arrived_at, data) VALUES (${time}, ${time}, 'wild')`)
    }
    db.exec("INSERT INTO mqin (sent_at, arrived_at, data) VALUES (1, 2, 'last')")
    const messages = [...mq.readInbox()]
    assert.deepEqual(
      messages.map(({ sentAt }) => sentAt?.getTime() ?? null),
      [null, null, 0, 1],
    )
    assert.doesNotThrow(() => JSON.stringify(messages))
    const consumed: unknown[] = []
    await mq.consume(({ data: text }) => {
      if (consumed.push(text) === 4) void mq.drain()
    })
    assert.deepEqual(consumed, ['wild', 'wild', 'wild', 'last'])
    mq.close()
    db.close()
  })
}

for (const suffix of ['', '-wal']) {
  test(`P1: a send into a removed ${suffix || 'database'} is not taken for sent`, (t) => {
    const path = scratchPath(t)
    using mq = open(path)
    mq.send('b', 9000, '', 'one')
    rmSync(path + suffix)
    assert.throws(() => mq.send('b', 9000, '', 'two'), { code: 'TINYMQ_CLOSED' })
    assert.throws(() => mq.sendMany([{ host: 'b', data: 'x' }]), { code: 'TINYMQ_CLOSED' })
  })
}
