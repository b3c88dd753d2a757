import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { lineAt, mask } from './source.ts'

function code(text: string): string {
  const masked = mask(text).code
  equal(masked.length, text.length)
  equal(masked.split('\n').length, text.split('\n').length)
  return masked.replaceAll(/ +/g, ' ')
}

test('comments become blanks, line for line', () => {
  equal(code('a() // b\n/* c\n d */ e()'), 'a() \n \n e()')
})

test('the insides of strings become blanks and are listed', () => {
  deepEqual(mask(`a('b\\'c', "d")`), {
    code: `a('    ', " ")`,
    strings: [
      { start: 2, text: "b\\'c" },
      { start: 10, text: 'd' },
    ],
  })
})

test('a comment mark in a string is no comment, nor a quote in a comment a string', () => {
  equal(code(`a('//') // it's\nb()`), `a(' ') \nb()`)
})

test('a template keeps the code inside it and loses its text', () => {
  equal(code('`a${b({ c: `d${e}` })}f` + g'), '` ${b({ c: ` ${e}` })} ` + g')
})

test('a pattern is blanked, a division is not', () => {
  equal(code(`a = /['"/]/g\nb / c / d`), 'a = \nb / c / d')
})

test('the first line of a program is not code', () => {
  equal(code('#!/usr/bin/env node\na()'), ' \na()')
})

test('lines count from one', () => {
  deepEqual([lineAt('a\nb', 0), lineAt('a\nb', 2)], [1, 2])
})
