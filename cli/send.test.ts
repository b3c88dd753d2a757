import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { madeDatabase, run } from '../test/support/command-run.ts'
import { scratchPath, shell } from '../test/support/scratch.ts'

const rowsSql = `SELECT id, host, port, token, headers, typeof(data), hex(data) FROM mqout;`

test('send puts the argument into the outbox and prints the id', async (t) => {
  const path = madeDatabase(t)
  const sent = await run(path, ['send', 'b', 'héllo', '-p', '9001', '-t', 'tok', '-H', 'a=b=c'])
  assert.deepEqual(sent, { code: 0, out: '1\n', said: '' })
  const row = shell(path, rowsSql).output
  assert.equal(row, `1|b|9001|tok|{"a":"b=c"}|text|${hex('héllo')}`)
})

test('send reads stdin to its end, as text or as bytes', async (t) => {
  const path = madeDatabase(t)
  const bytes = Buffer.from([0, 255, 10])
  assert.equal((await run(path, ['send', 'b'], { input: 'two\nlines\n' })).code, 0)
  assert.equal((await run(path, ['send', 'b', '-'], { input: '' })).code, 0)
  assert.equal((await run(path, ['send', 'b', '--blob'], { input: bytes })).code, 0)
  const refused = await run(path, ['send', 'b'], { input: bytes })
  assert.equal(refused.code, 64)
  assert.match(refused.said, /say --blob to send bytes as they are.*TINYMQ_INVALID_TEXT/)
  const rows = shell(path, 'SELECT typeof(data), hex(data) FROM mqout;').output
  assert.equal(rows, `text|${hex('two\nlines\n')}\ntext|\nblob|00FF0A`)
})

test('send --lines makes a message of each line, and --file one of a file', async (t) => {
  const path = madeDatabase(t)
  const lines = Array.from({ length: 2_500 }, (_, n) => `line ${n}`)
  const sent = await run(path, ['send', 'b', '--lines', '--json'], { input: lines.join('\n') })
  const said = sent.out.trimEnd().split('\n')
  assert.deepEqual(said.length, 2_500)
  assert.deepEqual(JSON.parse(said[2_499] ?? ''), { id: 2_500, host: 'b', port: 9000, token: '' })
  assert.equal(shell(path, 'SELECT data FROM mqout ORDER BY id;').output, lines.join('\n'))
  const file = scratchPath(t)
  writeFileSync(file, 'of a file')
  await run(path, ['send', 'b', '--file', file])
  assert.equal(shell(path, 'SELECT data FROM mqout WHERE id = 2501;').output, 'of a file')
})

test('a line ends at LF, alone or after a CR, and nowhere else', async (t) => {
  const path = madeDatabase(t)
  const input = 'a\u2028b\u0085c\vd\nlone\rCR\ndos\r\n\nlast\r'
  assert.equal((await run(path, ['send', 'b', '--lines'], { input })).code, 0)
  const sent = shell(path, 'SELECT typeof(data), hex(data) FROM mqout ORDER BY id;').output
  const lines = ['a\u2028b\u0085c\vd', 'lone\rCR', 'dos', '', 'last\r']
  assert.equal(sent, lines.map((line) => `text|${hex(line)}`).join('\n'))
})

test('send --lines --blob sends the bytes of each line as they are', async (t) => {
  const path = madeDatabase(t)
  const input = Buffer.from([0xe9, 0x0d, 0x0a, 0x00, 0xff, 0x0a])
  assert.equal((await run(path, ['send', 'b', '--lines', '--blob'], { input })).code, 0)
  const sent = shell(path, 'SELECT typeof(data), hex(data) FROM mqout ORDER BY id;').output
  assert.equal(sent, 'blob|E90D\nblob|00FF')
})

test('a line that is no text is rejected by its number; what was sent is reported', async (t) => {
  const path = madeDatabase(t)
  const bad = (good: number): Buffer =>
    Buffer.concat([Buffer.from('good\n'.repeat(good)), Buffer.from([0xe9, 0x0a, 0x78])])
  const none = await run(path, ['send', 'b', '--lines'], { input: bad(2) })
  assert.deepEqual([none.code, none.out], [64, ''])
  assert.match(none.said, /no line was sent/)
  assert.match(none.said, /line 3 is not text in UTF-8.*TINYMQ_INVALID_TEXT/)
  const some = await run(path, ['send', 'b', '--lines'], { input: bad(1_500) })
  assert.equal(some.code, 64)
  assert.equal(some.out.trimEnd().split('\n').length, 1_000)
  assert.match(some.said, /the first 1000 lines were sent, and nothing after that/)
  assert.match(some.said, /line 1501 is not text/)
  assert.equal(shell(path, 'SELECT count(*) FROM mqout;').output, '1000')
})

test('what cannot be sent is rejected with what to do, and leaves nothing behind', async (t) => {
  const path = madeDatabase(t)
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['send', 'b'], /give the message, --file, or pipe it in/],
    [['send', 'b', 'x', '--file', 'y'], /not both/],
    [['send', 'b', '--file', `${path}-none`], /cannot be read: ENOENT/],
    [['send', 'b', 'x', '--lines'], /--lines reads a file or stdin/],
    [['send', 'b', 'x', '-p', '70000'], /from 1 to 65535/],
    [['send', 'b', 'x', '-H', 'novalue'], /must be name=value/],
    [['send', '', 'x'], /TINYMQ_INVALID_HOST/],
    [['send'], /missing required argument 'host'/],
  ]
  for (const [args, message] of cases) {
    const { code, out, said } = await run(path, args)
    assert.deepEqual([code, out], [64, ''], args.join(' '))
    assert.match(said, message)
  }
  assert.equal(shell(path, 'SELECT count(*) FROM mqout;').output, '0')
})

test('send --wait says why a message is not there in time', async (t) => {
  const path = madeDatabase(t)
  const sent = await run(path, ['send', 'b', 'x', '--wait', '0.05'])
  assert.deepEqual([sent.code, sent.out], [1, '1\n'])
  assert.match(sent.said, /goes on being tried: no daemon has looked at it yet/)
})

test('a time that no timer can wait is rejected, and not taken for none', async (t) => {
  const path = madeDatabase(t)
  for (const seconds of ['2147484', '9999999']) {
    const sent = await run(path, ['send', 'b', 'x', '--wait', seconds])
    assert.deepEqual([sent.code, sent.out], [64, ''])
    assert.match(sent.said, /at most 2147483/)
  }
})

test('a database that is not there is not made', async (t) => {
  const path = scratchPath(t)
  const sent = await run(path, ['send', 'b', 'x'])
  assert.equal(sent.code, 66)
  assert.match(sent.said, /no database at .*Start the daemon.*TINYMQ_NO_DATABASE/)
  assert.equal((await run(path, ['status'])).code, 66)
})

test('a file without our tables, and a directory, are rejected and unchanged', async (t) => {
  const path = scratchPath(t)
  shell(path, 'CREATE TABLE theirs (a);')
  const before = readFileSync(path)
  for (const args of [['status'], ['send', 'b', 'x'], ['inbox'], ['retry', '--all']]) {
    const { code, said } = await run(path, args)
    assert.equal(code, 66)
    assert.match(said, /has no tables of tinymq\. Start the daemon on it.*TINYMQ_NO_SCHEMA/)
  }
  assert.deepEqual(readFileSync(path), before)
  const { code, said } = await run(dirname(path), ['status'])
  assert.equal(code, 74)
  assert.match(said, /cannot be opened: it is a directory/)
})

const hex = (text: string): string => Buffer.from(text).toString('hex').toUpperCase()
