import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, countText, durationText, Progress, tableLines } from './output.ts'
import { cut, oneLine } from '../daemon/platform/text.ts'

test('sizes, times and counts read as people say them', () => {
  assert.deepEqual([0, 1, 1_023, 1_536, 10_485_760, 1e15].map(bytesText), [
    '0 B',
    '1 B',
    '1023 B',
    '1.5 KiB',
    '10.0 MiB',
    '909 TiB',
  ])
  assert.deepEqual([-1, 0.04, 9.94, 59.6, 61, 3_600, 93_784].map(durationText), [
    '0.0s',
    '0.0s',
    '9.9s',
    '1m',
    '1m 1s',
    '1h',
    '1d 2h',
  ])
  assert.equal(countText(1_234_567), '1,234,567')
})

test('columns are as wide as what they hold, and the line as wide as the screen', () => {
  const rows = [
    { name: 'a', count: 5 },
    { name: 'böse\u001b', count: 1_000 },
  ]
  const columns = [
    { title: 'name', cell: (row: (typeof rows)[0]) => row.name },
    { title: 'n', cell: (row: (typeof rows)[0]) => row.count, isNumber: true as const },
  ]
  assert.deepEqual(tableLines(rows, columns, 0), [
    'name           n',
    'a              5',
    'böse\\u001b  1000',
  ])
  assert.deepEqual(tableLines(rows, columns, 8)[2], 'böse\\u0…')
})

test('a text is cut by characters and shown in one line', () => {
  assert.equal(cut('😀😀😀', 3), '😀😀😀')
  assert.equal(cut('😀😀😀😀', 3), '😀😀…')
  assert.equal(oneLine('a\tb\r\n\u0000\u202e'), 'a\\tb\\r\\n\\u0000\\u202e')
})

test('progress is one line that goes away, and nothing where nobody looks', () => {
  for (const sayIsTerminal of [true, false]) {
    let said = ''
    const terminal = { ...nowhere, sayIsTerminal, say: (text: string): void => void (said += text) }
    {
      using progress = new Progress(terminal, 'sending')
      progress.show(1, 4, 'rows', 0)
      progress.show(2, 4, 'rows', 50)
      progress.show(3, undefined, 'rows', 150)
    }
    const bar = `[${'#'.repeat(6)}${'-'.repeat(18)}]`
    const [home, wanted] = ['\r\u001b[K', `sending ${bar} 1 of 4 rows`]
    assert.equal(said, sayIsTerminal ? `${home}${wanted}${home}sending 3 rows${home}` : '')
  }
})

const nowhere = {
  out: (): void => {},
  outIsTerminal: false,
  columns: 0,
  rows: 0,
  input: (async function* empty() {})(),
  inputIsTerminal: true,
  environment: {},
  signal: new AbortController().signal,
}
