import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { madeDatabase, run } from '../test/support/command-run.ts'
import { OutputError } from './output.ts'
import { shell } from '../test/support/scratch.ts'

function arrive(path: string, data: string, token = 't'): void {
  shell(
    path,
    `INSERT INTO mqin (host, port, token, sent_at, arrived_at, headers, data)
      VALUES ('a', 9000, '${token}', 1425211200000, 1425211201000, '{"x":1}', ${data});`,
  )
}

test('inbox prints a line a message, harmless for a terminal', async (t) => {
  const path = madeDatabase(t)
  arrive(path, "'plain'")
  arrive(path, "'two' || char(10) || 'lines' || char(27) || '[2J'")
  arrive(path, "x'00ff'", '')
  const { out, code } = await run(path, ['inbox'])
  assert.equal(code, 0)
  assert.deepEqual(out.split('\n'), [
    '1  2015-03-01 12:00:01  a:9000  t  plain',
    '2  2015-03-01 12:00:01  a:9000  t  two\\nlines\\u001b[2J',
    '3  2015-03-01 12:00:01  a:9000  -  (2 bytes) 00ff',
    '',
  ])
})

test('inbox --json is the contract: text as data, bytes in Base64', async (t) => {
  const path = madeDatabase(t)
  arrive(path, "'text'")
  arrive(path, "x'00ff'")
  const { out } = await run(path, ['inbox', '--json'])
  const base = {
    host: 'a',
    port: 9000,
    token: 't',
    sentAt: '2015-03-01T12:00:00.000Z',
    arrivedAt: '2015-03-01T12:00:01.000Z',
    headers: { x: 1 },
  }
  assert.deepEqual(
    out
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
    [
      { id: 1, ...base, data: 'text' },
      { id: 2, ...base, dataBase64: 'AP8=' },
    ],
  )
})

test('inbox applies after, limit, token, raw; --delete deletes', async (t) => {
  const path = madeDatabase(t)
  for (const [at, token] of ['t', 'u', 't', 't'].entries()) arrive(path, `'m${at + 1}'`, token)
  assert.equal((await run(path, ['inbox', '--raw', '-a', '1', '-n', '2'])).out, 'm2\nm3\n')
  assert.equal((await run(path, ['inbox', '--raw', '-t', 't', '--delete'])).out, 'm1\nm3\nm4\n')
  assert.equal(shell(path, 'SELECT data FROM mqin;').output, 'm2')
})

test('inbox --raw prints the bytes of a BLOB as they are', async (t) => {
  const path = madeDatabase(t)
  arrive(path, "x'00ff8041'")
  const { out } = await run(path, ['inbox', '--raw'])
  assert.equal(Buffer.from(out, 'latin1').toString('hex'), '00ff80410a')
})

test('inbox --delete keeps what could not be printed, and what comes after it', async (t) => {
  for (const [reason, expected] of [
    ['failed', 74],
    ['reader gone', 141],
    ['interrupted', 130],
  ] as const) {
    const path = madeDatabase(t)
    for (const data of ["'one'", "'two'", "'three'"]) arrive(path, data)
    const { code } = await run(path, ['inbox', '--raw', '--delete'], {
      onOut: (out) => {
        if (out.includes('two')) throw new OutputError(reason)
      },
    })
    assert.equal(code, expected)
    assert.equal(shell(path, 'SELECT data FROM mqin;').output, 'two\nthree')
  }
})

const wildTimes = ['9000000000000000', '-9000000000000000', '9223372036854775807', "'no time'"]

for (const time of wildTimes) {
  test(`a message of the time ${time} hides none behind it`, async (t) => {
    const path = madeDatabase(t)
    const insert = 'INSERT INTO mqin (host, port, token, sent_at, arrived_at, data) VALUES'
    shell(
      path,
      `${insert} ('a', 9000, 't', ${time}, ${time}, 'wild'), ('a', 9000, 't', 1, 1, 'x');`,
    )
    shell(path, `INSERT INTO mqdead (id, died_at, data) VALUES (1, ${time}, 'x'), (2, 1, 'x');`)
    shell(path, `INSERT INTO mqout (host, created_at, data) VALUES ('b', ${time}, 'x');`)
    for (const args of [
      ['inbox'],
      ['inbox', '--json'],
      ['dead', 'list'],
      ['dead', 'list', '--json'],
    ]) {
      const { code, out } = await run(path, args)
      assert.equal(code, 0)
      assert.match(out, /^ *2 |"id":2,/m)
      assert.doesNotMatch(out, /NaN|undefined|Invalid/)
    }
    for (const args of [['status'], ['status', '--json'], ['peers'], ['peers', '--json']]) {
      const { code, out } = await run(path, args)
      assert.equal(code, 0)
      assert.doesNotMatch(out, /NaN|undefined|Invalid/, args.join(' '))
    }
  })
}

test('inbox --follow prints what arrives until it is ended', async (t) => {
  const path = madeDatabase(t)
  arrive(path, "'first'")
  const ending = new AbortController()
  const { out, code } = await run(path, ['inbox', '--follow', '--raw'], {
    signal: ending.signal,
    onOut: (sofar) => {
      if (sofar === 'first\n') setImmediate(() => arrive(path, "'second'"))
      else ending.abort()
    },
  })
  assert.deepEqual([out, code], ['first\nsecond\n', 0])
})

test('inbox --follow --limit ends by itself', async (t) => {
  const path = madeDatabase(t)
  arrive(path, "'first'")
  arrive(path, "'second'")
  const { out } = await run(path, ['inbox', '--follow', '--raw', '--limit', '1'])
  assert.equal(out, 'first\n')
})

test('no row of a sender ends inbox --json, nor moves the cursor', async (t) => {
  const path = madeDatabase(t)
  const db = new Database(path)
  const insert =
    db.prepare(`INSERT INTO mqin (host, port, token, sent_at, arrived_at, headers, data)
    VALUES (?, 9000, 't', ?, 1425211201000, ?, ?)`)
  const deep = `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`
  const hostile = 'a\u001b[2J\u009b2J\u202Etxt\u2066\u200f\u2028'
  insert.run('a', Number.MAX_SAFE_INTEGER, deep, 'first')
  insert.run(hostile, -1e300, JSON.stringify({ [hostile]: '"[{'.repeat(200) }), hostile)
  insert.run('a', 0, '[1]', 'last')
  db.close()
  for (const args of [['--json'], ['--json', '--delete']]) {
    const { out, code } = await run(path, ['inbox', ...args])
    assert.equal(code, 0)
    assert.doesNotMatch(out, /[^\n\P{Cc}]|[\p{Bidi_Control}\p{Zl}]/u)
    const rows = out.trimEnd().split('\n')
    const [first, second, last] = rows.map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual([first?.['sentAt'], first?.['headers']], [null, null])
    assert.equal(first?.['headersText'], deep)
    assert.deepEqual([second?.['host'], second?.['data']], [hostile, hostile])
    assert.deepEqual(second?.['headers'], { [hostile]: '"[{'.repeat(200) })
    assert.deepEqual([last?.['headersText'], last?.['data']], ['[1]', 'last'])
  }
})
