import assert from 'node:assert/strict'
import { test } from 'node:test'
import { madeDatabase, run } from '../testing/command-run.ts'
import { shell } from '../testing/scratch.ts'

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

test('inbox takes what it is told: after, limit, token, raw, and --take deletes', async (t) => {
  const path = madeDatabase(t)
  for (const [at, token] of ['t', 'u', 't', 't'].entries()) arrive(path, `'m${at + 1}'`, token)
  assert.equal((await run(path, ['inbox', '--raw', '-a', '1', '-n', '2'])).out, 'm2\nm3\n')
  assert.equal((await run(path, ['inbox', '--raw', '-t', 't', '--take'])).out, 'm1\nm3\nm4\n')
  assert.equal(shell(path, 'SELECT data FROM mqin;').output, 'm2')
})

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
