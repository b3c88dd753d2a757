import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import {
  firstLine,
  hexLines,
  prettyJson,
  shortened,
  shownBlock,
  shownSentence,
  shownLine,
} from './text.ts'

test('what is invisible or turns the order is shown by its number', () => {
  equal(shownLine('live\u202Egpj.exe'), 'live⟨202E⟩gpj.exe')
  equal(shownLine('a\nb\u0000\u200B'), 'a⟨000A⟩b⟨0000⟩⟨200B⟩')
  equal(shownBlock('a\r\n\tb\u0007\u2066'), 'a\r\n\tb⟨0007⟩⟨2066⟩')
})

test('letters of every script and joined emoji stay as they are', () => {
  const text = 'שלום مرحبا 日本 👩‍👩‍👧 ❤️ é'
  equal(shownLine(text), text)
})

test('of an error with its stack the first line says what it was', () => {
  equal(firstLine('TypeError: a\n    at b'), 'TypeError: a')
  equal(firstLine(''), '')
})

test('what continued a line becomes a sentence', () => {
  equal(shownSentence('row 7 was delivered'), 'Row 7 was delivered.')
  equal(shownSentence('Fine.'), 'Fine.')
  equal(shownSentence('is it running?.'), 'Is it running?')
  equal(shownSentence(''), '')
})

test('a long line is cut between characters', () => {
  equal(shortened('abc', 3), 'abc')
  equal(shortened('abcd', 3), 'ab…')
  equal(shortened('👍👍👍👍', 3), '👍👍…')
})

test('binary is shown as hexdump -C shows it', () => {
  deepEqual(hexLines(''), [])
  deepEqual(hexLines('00ff417e7f'.padEnd(34, '2')), [
    {
      offset: '00000000',
      hex: '00 ff 41 7e 7f 22 22 22 22 22 22 22 22 22 22 22',
      ascii: '..A~."""""""""""',
    },
    { offset: '00000010', hex: '22', ascii: '"' },
  ])
})

test('JSON gets an indent, anything else stays', () => {
  equal(prettyJson('{"a":1}'), '{\n  "a": 1\n}')
  equal(prettyJson('{a'), '{a')
})

test('JSON that is nested without end stays as it is, brackets in its strings count not', () => {
  const deep = `{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`
  equal(prettyJson(deep), deep)
  const flat = JSON.stringify({ a: '[{"\\'.repeat(500) })
  equal(prettyJson(flat), JSON.stringify(JSON.parse(flat), null, 2))
})
