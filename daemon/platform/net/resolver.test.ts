import { deepEqual, equal } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Resolver, type Lookup, type Resolved } from './resolver.ts'
import { systemScheduler } from '../../../sdk/schema/scheduler.ts'

type Answer = Parameters<Lookup>[1]

/** A name service that answers on request. */
class FakeNames {
  readonly asked: string[] = []
  readonly resolved: Resolved[] = []
  readonly #callbacks = new Map<string, Answer>()
  #laterMs = 0
  readonly resolver = new Resolver(
    (resolved) => this.resolved.push(resolved),
    3,
    (host, callback) => {
      this.asked.push(host)
      this.#callbacks.set(host, callback)
    },
    { ...systemScheduler, nowUs: () => systemScheduler.nowUs() + this.#laterMs * 1_000 },
  )

  answer(host: string, ...ips: string[]): void {
    const found = ips.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    this.#callbacks.get(host)?.(null, found)
  }

  /** For what is read from the clock; timers are ticked. */
  passMs(ms: number): void {
    this.#laterMs += ms
  }

  fail(host: string, code: string): void {
    this.#callbacks.get(host)?.(Object.assign(new Error(code), { code }), [])
  }
}

function withClock(context: TestContext): FakeNames {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  return new FakeNames()
}

test('an address is answered at once, in its shortest form, without a look-up', () => {
  const names = new FakeNames()
  for (const host of ['10.0.0.1', 'FE80:0::1%eth0', '::ffff:10.0.0.2']) names.resolver.resolve(host)
  deepEqual(
    names.resolved.map(({ ips }) => ips),
    [['10.0.0.1'], ['fe80::1%eth0'], ['10.0.0.2']],
  )
  deepEqual(names.asked, [])
})

test('numbers that are no address are never read as another one', () => {
  const names = new FakeNames()
  for (const host of ['010.77.0.2', '127.1', '0x7f.0.0.1', '256.1.1.1', '5', '10.0.0.1.']) {
    names.resolver.resolve(host)
    const { ips, reason } = names.resolved.at(-1) ?? { ips: ['none'], reason: '' }
    deepEqual(ips, [], host)
    equal(reason.startsWith('not an address: write four numbers'), true)
  }
  deepEqual(names.asked, [])
  for (const host of ['1.example', 'x1', '10-0-0-1', '123456789012']) names.resolver.resolve(host)
  equal(names.asked.length, 3)
  names.resolver.stop()
})

test('a name is asked for once, however many lanes wait for it, and then remembered', () => {
  const names = new FakeNames()
  names.resolver.resolve('b')
  names.resolver.resolve('b')
  names.answer('b', '::1', '10.0.0.1')
  names.resolver.resolve('b')
  deepEqual(names.asked, ['b'])
  const expected = { host: 'b', ips: ['::1', '10.0.0.1'], reason: '' }
  deepEqual(names.resolved, [expected, expected])
  names.resolver.stop()
})

test('three look-ups at a time, the others in the order in which they came', () => {
  const names = new FakeNames()
  for (const host of ['a', 'b', 'c', 'd', 'e']) names.resolver.resolve(host)
  deepEqual(names.asked, ['a', 'b', 'c'])
  names.answer('b', '10.0.0.1')
  deepEqual(names.asked, ['a', 'b', 'c', 'd'])
  names.resolver.stop()
})

test('a name that is not known says so, with the code', () => {
  const names = new FakeNames()
  names.resolver.resolve('nowhere')
  names.fail('nowhere', 'ENOTFOUND')
  deepEqual(names.resolved, [{ host: 'nowhere', ips: [], reason: 'name not known (ENOTFOUND)' }])
  names.resolver.stop()
})

test('after ten seconds there is an answer, whatever the name service does', (context) => {
  const names = withClock(context)
  names.resolver.resolve('slow')
  context.mock.timers.tick(10_000)
  equal(names.resolved[0]?.reason, 'the name service did not answer within 10 s')
  // The thread is still held: no second look-up for the name, and the late answer is not lost.
  names.resolver.resolve('slow')
  deepEqual(names.asked, ['slow'])
  names.answer('slow', '10.0.0.1')
  deepEqual(names.resolved[1]?.ips, ['10.0.0.1'])
  equal(names.resolved.length, 2)
  names.resolver.stop()
})

test('names that hang leave half of the flights to the others (P6)', (context) => {
  const names = withClock(context)
  for (const host of ['a', 'b', 'c']) names.resolver.resolve(host)
  context.mock.timers.tick(10_000)
  names.passMs(10_000)
  for (const host of ['a', 'b', 'c']) names.fail(host, 'EAI_AGAIN')
  names.passMs(3_000)
  for (const host of ['a', 'b', 'c', 'good']) names.resolver.resolve(host)
  deepEqual(names.asked, ['a', 'b', 'c', 'a', 'b', 'good'])
  names.answer('good', '10.0.0.1')
  deepEqual(names.resolved.at(-1)?.ips, ['10.0.0.1'])
  names.resolver.stop()
})

test('a name that waits for its turn is answered within ten seconds, too', (context) => {
  const names = withClock(context)
  for (const host of ['a', 'b', 'c', 'd']) names.resolver.resolve(host)
  context.mock.timers.tick(10_000)
  equal(names.resolved.filter(({ host }) => host === 'd').length, 1)
  names.resolver.stop()
})

test('the last known addresses are used while the name service does not answer', (context) => {
  const names = withClock(context)
  names.resolver.resolve('b')
  names.answer('b', '10.0.0.1')
  names.passMs(3_600_000)
  names.resolver.resolve('b')
  context.mock.timers.tick(1_800)
  deepEqual(names.resolved.at(-1), { host: 'b', ips: ['10.0.0.1'], reason: '' })
  names.fail('b', 'EAI_AGAIN')
  names.resolver.resolve('b')
  names.fail('b', 'EAI_AGAIN')
  deepEqual(names.resolved.at(-1)?.ips, ['10.0.0.1'])
  deepEqual(names.asked.length, 3)
  names.resolver.stop()
})

test('a name that is gone has lost its addresses', (context) => {
  const names = withClock(context)
  names.resolver.resolve('b')
  names.answer('b', '10.0.0.1')
  names.passMs(3_000)
  names.resolver.resolve('b')
  names.fail('b', 'ENOTFOUND')
  names.passMs(3_000)
  names.resolver.resolve('b')
  names.fail('b', 'EAI_AGAIN')
  deepEqual(names.resolved.at(-1)?.ips, [])
  names.resolver.stop()
})

test('an address that comes after all have given up is reported', (context) => {
  const names = withClock(context)
  names.resolver.resolve('b')
  context.mock.timers.tick(10_000)
  names.answer('b', '10.0.0.1')
  deepEqual(names.resolved.at(-1)?.ips, ['10.0.0.1'])
  names.resolver.stop()
})

test('the system is asked in earnest', async () => {
  const { promise, resolve } = Promise.withResolvers<Resolved>()
  const resolver = new Resolver(resolve, 1)
  resolver.resolve('localhost')
  const { ips } = await promise
  equal(
    ips.some((ip) => ip === '127.0.0.1' || ip === '::1'),
    true,
  )
  resolver.stop()
})
