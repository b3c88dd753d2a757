import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { assert, AssertionFailure, unreachable } from './assert.ts'

test('an assertion that holds is silent', () => {
  assert(true, 'One is one.')
})

test('an assertion that fails throws its sentence', () => {
  throws(() => assert(false, 'One is two.'), { name: 'AssertionFailure', message: 'One is two.' })
})

test('a value that the types deny is named when it comes all the same', () => {
  const unknown = JSON.parse('{"type":"new"}') as never
  let message = ''
  try {
    unreachable(unknown)
  } catch (error) {
    if (error instanceof AssertionFailure) message = error.message
  }
  deepStrictEqual(message, 'A case is missing for {"type":"new"}.')
})
