/** Data arrives as it was: the same bytes, and text as text. */
import { deepEqual, equal } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { open } from '../../sdk/index.ts'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const mebibyte = 1_048_576

/** Text of every plane and of every length in UTF-8, repeated up to `bytes`. */
function longText(bytes: number): string {
  const piece = 'ascii, ümläut, 漢字, 🐦, e\u0301; '
  const count = Math.ceil(bytes / Buffer.byteLength(piece))
  return piece.repeat(count).slice(0, bytes - count * 16)
}

const texts: readonly (readonly [name: string, text: string])[] = [
  ['the empty string', ''],
  ['64,000 characters', 'x'.repeat(64_000)],
  ['64,000 characters of several bytes', '漢'.repeat(64_000)],
  ['1 MiB', longText(mebibyte)],
  ['20 MiB', longText(20 * mebibyte)],
  ['emoji', '🐦 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿'],
  ['combining characters', 'e\u0301 Z\u0351\u036b\u0343 \u1112\u1161\u11ab'],
  ['newlines', '\n\r\n\ttabs and\nlines\n\n'],
  ['colons', ':a:b::c:'],
  ['quotes', `'single' "double" \`back\` ''twice''`],
  ['NUL', 'before\0after\0'],
  ['a byte order mark', '\ufefftext'],
  ['a number', '12'],
]

const blobs: readonly (readonly [name: string, blob: Buffer])[] = [
  ['an empty BLOB', Buffer.alloc(0)],
  ['every byte', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
  ['a BLOB that is text', Buffer.from('text')],
  ['a BLOB that is not UTF-8', Buffer.from('c328a0fffe00', 'hex')],
  ['a BLOB of 20 MiB', Buffer.alloc(20 * mebibyte, 'tinymq\0\xff', 'latin1')],
]

const payloads = [
  ...texts.map(([name, text]) => ({ name, type: 'text', bytes: Buffer.from(text) })),
  ...blobs.map(([name, bytes]) => ({ name, type: 'blob', bytes })),
]

const expected = payloads.map(({ name, type, bytes }) => ({ name, type, hash: hashOf(bytes) }))

function hashOf(bytes: Uint8Array): string {
  return `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`
}

/** What is in the inbox of `machine`, by the SDK. */
function inboxOf(machine: Machine): { name: string; type: string; hash: string }[] {
  using mq = open(machine.database)
  return Array.from(mq.readInbox(), ({ token, data }) => ({
    name: token,
    type: typeof data === 'string' ? 'text' : 'blob',
    hash: hashOf(typeof data === 'string' ? Buffer.from(data) : data),
  }))
}

async function fullInbox(machine: Machine): Promise<void> {
  await machine.shows('SELECT count(*) FROM mqin;', new RegExp(`^${payloads.length}$`), 60_000)
}

const skip = needs('sqlite3')

test(
  'P4: what the sqlite3 shell inserts arrives as it was, and is read so by it',
  { skip },
  async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a'), await scene.running('b')]
    const inserts = payloads.map(({ name, type, bytes }, index) => {
      const file = join(scene.directory, `payload-${index}`)
      writeFileSync(file, bytes)
      return `INSERT INTO mqout (host, port, token, data)
      VALUES ('127.0.0.1', '${b.port}', '${name}', CAST(readfile('${file}') AS ${type}));`
    })
    await a.sql(inserts.join('\n'))
    await fullInbox(b)
    deepEqual(
      await b.rows<unknown>('SELECT token AS name, typeof(data) AS type FROM mqin ORDER BY id;'),
      payloads.map(({ name, type }) => ({ name, type })),
    )
    const files = await b.sql(
      `SELECT writefile('${scene.directory}/arrived-' || id, data) FROM mqin ORDER BY id;`,
    )
    deepEqual(
      files.split('\n').map(Number),
      payloads.map(({ bytes }) => bytes.length),
    )
    deepEqual(inboxOf(b), expected)
    await a.sentAll(10_000)
  },
)

test('P4: what the SDK sends arrives as it was, and is read so by it', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  {
    using mq = open(a.database)
    for (const { name, type, bytes } of payloads) {
      mq.send('localhost', b.port, name, type === 'text' ? bytes.toString('utf8') : bytes)
    }
    const last = mq.send('localhost', b.port, 'with headers', 'data', {
      headers: { reply: 'to:me', '🐦': [1, null] },
    })
    await mq.delivered(last)
  }
  {
    using mq = open(b.database)
    const newest = Array.from(mq.readInbox({ token: 'with headers' })).at(-1)
    deepEqual(newest?.headers, { reply: 'to:me', '🐦': [1, null] })
  }
  deepEqual(inboxOf(b).slice(0, payloads.length), expected)
  equal(await b.sql('SELECT count(*) FROM mqin;'), String(payloads.length + 1))
})
