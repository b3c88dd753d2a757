import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type InboxMessage, open } from '../index.ts'
import type { StandardSchema } from './payload.ts'
import { arrive } from '../../test/support/inbox-arrivals.ts'
import { scratchDatabase } from '../../test/support/scratch.ts'

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
  /^the data of message 3 is not JSON: /,
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
  await assert.rejects(consumed, { code: 'TINYMQ_INVALID_ARGUMENT', message: /asynchronously/ })
  mq.close()
})

test('without a schema the payload is the data as JSON, text and bytes alike', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  const bytes = Buffer.from('{"sku":"é"}')
  arrive(db, { data: '[1]' }, { data: '\u{feff}"marked"' }, { data: bytes }, { data: 'null' })
  const payloads: unknown[] = []
  await mq.consume(({ payload }) => {
    payloads.push(payload)
    if (payload === null) void mq.drain()
  })
  assert.deepEqual(payloads, [[1], 'marked', { sku: 'é' }, null])
  mq.close()
})

const unparsable = {
  'a text': 'HelloMachineBFromMachineA',
  'half a JSON': '{"sku":',
  bytes: new Uint8Array([0x22, 0xff]),
}
for (const [name, data] of Object.entries(unparsable)) {
  test(`a handler that does not read the payload gets ${name} as it is`, async (t) => {
    const db = scratchDatabase(t)
    const mq = open({ db })
    arrive(db, { data })
    await mq.consume((message) => {
      assert.deepEqual(message.data, data)
      void mq.drain()
    })
    assert.equal(db.prepare('SELECT count(*) FROM mqin').pluck().get(), 0)
    assert.equal(db.prepare('SELECT count(*) FROM mqdead').pluck().get(), 0)
    mq.close()
  })

  test(`a handler that reads the payload of ${name} fails, and gets it again`, async (t) => {
    const db = scratchDatabase(t)
    const mq = open({ db })
    arrive(db, { data })
    const attempts: number[] = []
    const consume = async (message: InboxMessage): Promise<void> => {
      attempts.push(message.attempt)
      if (message.attempt === 2) void mq.drain()
      console.log(message.payload)
    }
    await mq.consume(consume)
    assert.deepEqual(attempts, [1, 2])
    const [lease] = db.prepare('SELECT attempts, error FROM mqlease').all() as {
      attempts: number
      error: string
    }[]
    assert.equal(lease?.attempts, 2)
    assert.match(lease?.error ?? '', /^TinymqError: the data of message 1 is not JSON: /)
    assert.equal(db.prepare('SELECT count(*) FROM mqdead').pluck().get(), 0)
    mq.close()
  })
}

test('in a transaction reading fails alike, and the last attempt is dead', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  arrive(db, { data: 'no JSON' }, { data: '{}' })
  const calls: string[] = []
  const consume = (message: InboxMessage): void => {
    calls.push(`${message.id}, attempt ${message.attempt}`)
    console.log(message.payload)
  }
  const consumed = mq.consumeInTransaction(consume, { attempts: 2 })
  while (db.prepare('SELECT count(*) FROM mqin').pluck().get() !== 0) await setTimeout(10)
  await mq.drain()
  await consumed
  assert.deepEqual(db.prepare('SELECT id FROM mqdead').pluck().all(), [1])
  assert.deepEqual(calls.toSorted(), ['1, attempt 1', '1, attempt 2', '2, attempt 1'])
  mq.close()
})
