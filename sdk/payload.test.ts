import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from './index.ts'
import type { StandardSchema } from './payload.ts'
import { arrive } from './testing/arrivals.ts'
import { scratchDatabase } from './testing/scratch.ts'

type Order = { readonly sku: string }

/** A schema as the libraries make them. */
const order = (wait: boolean): StandardSchema<Order> => {
  const validate: StandardSchema<Order>['~standard']['validate'] = (value) =>
    typeof value === 'object' && value !== null && 'sku' in value && typeof value.sku === 'string'
      ? { value: { sku: value.sku.trim() } }
      : { issues: [{ message: 'a string is needed', path: ['sku', { key: 0 }] }] }
  return { '~standard': { validate: wait ? async (value) => validate(value) : validate } }
}

const inputs = ['{"sku":" A-1 "}', '{"sku":1}', 'no JSON']
const sentences = [
  /^the payload of message 2 does not fit its schema: sku\.0: a string is needed$/,
  /^the text of message 3 is not JSON: /,
]

for (const wait of [false, true]) {
  const how = wait ? 'later' : 'at once'
  test(`a schema that answers ${how} makes the payload; what does not fit is dead`, async (t) => {
    const db = scratchDatabase(t)
    const mq = open({ db })
    arrive(db, ...inputs.map((data) => ({ data })), { data: '{"sku":"last"}' })
    const skus: string[] = []
    const take = ({ payload }: { readonly payload: Order }): void => {
      skus.push(payload.sku)
      if (payload.sku === 'last') void mq.drain()
    }
    if (wait) await mq.consume(take, { schema: order(wait) })
    else await mq.consumeInTransaction(take, { schema: order(wait) })
    assert.deepEqual(skus, ['A-1', 'last'])
    const dead = db.prepare('SELECT error FROM mqdead ORDER BY id').all() as { error: string }[]
    assert.equal(dead.length, sentences.length)
    for (const [at, sentence] of sentences.entries()) assert.match(dead[at]?.error ?? '', sentence)
    mq.close()
  })
}

test('an iterator passes over what does not fit', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  arrive(db, { data: '{}' }, { data: '{"sku":"A-1"}' })
  for await (const message of mq.inbox({ schema: order(true) })) {
    assert.equal(message.payload.sku, 'A-1')
    message.complete()
    break
  }
  assert.deepEqual(db.prepare('SELECT id FROM mqdead').pluck().all(), [1])
  mq.close()
})

test('a transaction cannot wait for a schema', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  arrive(db, { data: '{}' })
  const consumed = mq.consumeInTransaction(() => undefined, { schema: order(true) })
  await assert.rejects(consumed, { code: 'TINYMQ_BAD_ARGUMENT', message: /asynchronously/ })
  mq.close()
})

test('without a schema the payload is JSON, or bytes, or the fault of the sender', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  arrive(db, { data: '[1]' }, { data: new Uint8Array([1]) }, { data: 'no JSON' }, { data: '2' })
  const payloads: unknown[] = []
  await mq.consume(({ payload }) => {
    payloads.push(payload)
    if (payload === 2) void mq.drain()
  })
  assert.deepEqual(payloads, [[1], new Uint8Array([1]), 2])
  assert.deepEqual(db.prepare('SELECT id FROM mqdead').pluck().all(), [3])
  mq.close()
})
