import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as always, integer, property, tuple } from 'fast-check'
import { Credit, creditShare } from './receive-stream.ts'
import {
  creditGrowthUs,
  creditWindowFirst,
  creditWindowMax,
  creditWindowMin,
  heldBytesAll,
  inboundSessionsMax,
} from '../constants.ts'

const much = heldBytesAll

test('the first credit is a mebibyte, or the share of a crowd', () => {
  deepStrictEqual(new Credit(much, 0).offset, creditWindowFirst)
  deepStrictEqual(new Credit(100_000, 0).offset, 100_000)
})

test('a share is what all may hold, divided, but never too little to work with', () => {
  deepStrictEqual(creditShare(0), heldBytesAll)
  deepStrictEqual(creditShare(64), heldBytesAll / 64)
  deepStrictEqual(creditShare(inboundSessionsMax), creditWindowMin)
  deepStrictEqual(creditShare(10 * inboundSessionsMax), creditWindowMin)
})

test('a window of which half is used up quickly doubles, up to a bound', () => {
  const credit = new Credit(much, 0)
  let durable = 0
  for (let index = 1; index <= 20; index++) {
    durable += creditWindowMax
    credit.onDurable(durable, much, index * (creditGrowthUs - 1))
  }
  deepStrictEqual(credit.offset - durable, creditWindowMax)
})

test('a window that is used up slowly stays', () => {
  const credit = new Credit(much, 0)
  for (let index = 1; index <= 5; index++) {
    credit.onDurable(index * creditWindowFirst, much, index * creditGrowthUs)
  }
  deepStrictEqual(credit.offset, 6 * creditWindowFirst)
})

test('credit never falls, though the share does, and follows what is durable', () => {
  const steps = array(tuple(integer({ min: 0, max: 3_000_000 }), integer({ min: 1, max: 200 })))
  always(
    property(steps, (list) => {
      const credit = new Credit(much, 0)
      let [durable, offset] = [0, credit.offset]
      for (const [bytes, sessions] of list) {
        durable = Math.min(durable + bytes, offset)
        credit.onDurable(durable, creditShare(sessions), 1_000)
        ok(credit.offset >= offset && credit.offset <= durable + creditWindowMax)
        ok(credit.offset >= durable + Math.min(creditShare(sessions), creditWindowMin))
        offset = credit.offset
      }
    }),
  )
})

test('a body is written down in parts well before it fills the window', () => {
  deepStrictEqual(new Credit(much, 0).spillBytes, creditWindowFirst / 2)
  deepStrictEqual(new Credit(creditWindowMin, 0).spillBytes, creditWindowMin / 2)
})
