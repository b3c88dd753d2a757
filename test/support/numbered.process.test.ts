/** The check that most process tests rest on must find each kind of harm. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { insertNumbered, numberedRow, range, TotalQueue, type NumberedRow } from './numbered.ts'

function problems(...names: (string | NumberedRow)[]): string[] {
  const queue = new TotalQueue({ a: 3, b: [2, 5] })
  for (const name of names) {
    const [sender = '', number = ''] = typeof name === 'string' ? name.split(':') : []
    queue.receive(typeof name === 'string' ? numberedRow(sender, Number(number), 10) : name)
  }
  return queue.problems()
}

test('a total queue is content when each message is there once, in the order of its sender', () => {
  deepEqual(problems('a:1', 'b:2', 'a:2', 'a:3', 'b:5'), [])
})

const nonsense = { ...numberedRow('a', 1), text: 'nonsense' }

test('a total queue names what is missing, duplicated, out of order and unheard of', () => {
  deepEqual(problems('a:1', 'a:3', 'b:2', 'b:5'), ['missing: a:2'])
  deepEqual(problems('a:1', 'a:2', 'a:2', 'a:3', 'b:2', 'b:5'), ['duplicated: a:2'])
  deepEqual(problems('a:1', 'a:3', 'a:2', 'b:2', 'b:5'), ['out of order: a:2 after 3'])
  deepEqual(problems('a:1', 'a:2', 'a:3', 'a:4', 'b:2', 'c:1', 'b:5', nonsense), [
    'unheard of: a:4:10:316',
    'unheard of: c:1:10:791',
    'unheard of: nonsense',
  ])
})

test('a total queue names what is not as it was sent', () => {
  const whole = numberedRow('a', 2)
  for (const change of [
    { text: `${whole.text.slice(0, 98)}xx` },
    { text: whole.text.slice(0, 99) },
    { type: 'blob' },
    { token: '' },
    { headers: '{}' },
  ]) {
    const found = problems('a:1', { ...whole, ...change }, 'b:2', 'a:3', 'b:5')
    equal(found.length, 1)
    match(String(found[0]), /^changed: a:2:100:/)
  }
})

test('the statement makes the rows that the check expects, of every size', () => {
  const db = new Database(':memory:')
  db.exec('CREATE TABLE mqout (id INTEGER PRIMARY KEY, host, port, token, headers, data)')
  db.exec(insertNumbered({ sender: 'a', to: { host: 'b', port: 9000 }, first: 1, last: 3_000 }))
  const sql = 'SELECT CAST(data AS TEXT) AS text, typeof(data) AS type, token, headers FROM mqout'
  const rows = db.prepare<[], NumberedRow>(sql).all()
  db.close()
  deepEqual(
    rows,
    range(1, 3_000).map((number) => numberedRow('a', number)),
  )
  const sizes = new Set(rows.map(({ text }) => text.length))
  const boundaries = [1_023, 1_024, 1_025, 1_199, 1_200, 1_201, 65_535, 65_536, 65_537]
  deepEqual(sizes, new Set([100, ...boundaries]))
})

test('a range holds both its ends', () => {
  deepEqual(range(2, 4), [2, 3, 4])
})
