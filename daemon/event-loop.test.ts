import { deepEqual, equal, ok } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createCounters, type Counters } from './platform/counters.ts'
import { EventLoop, type Core, type EventLoopParts } from './event-loop.ts'
import { systemScheduler } from '../sdk/schema/scheduler.ts'
import type { Input, NodeEvent, Output } from './protocol/io.ts'
import type { Peer } from './store/store.ts'
import type { StoreListener, StorePort } from './store/thread/client.ts'
import { openUdpSocket } from './platform/net/udp-socket.ts'
import { emptyTotals } from './store/metrics.ts'

/** A core whose decisions are written in the test. */
class ScriptedCore implements Core {
  readonly inputs: Input[] = []
  due: number | undefined
  decide: (input: Input) => Output[] = () => []

  handle(input: Input): Output[] {
    this.inputs.push(input)
    return this.decide(input)
  }

  deadlineUs(): number | undefined {
    return this.due
  }
}

class EmptyStore implements StorePort {
  readonly tasks: unknown[] = []
  listener: StoreListener | undefined
  peers: readonly Peer[] = []
  isClosed = false

  listen(listener: StoreListener): void {
    this.listener = listener
  }

  flush(): void {}

  askPeers(): void {
    this.listener?.onPeers(this.peers)
  }

  submit(task: unknown): void {
    this.tasks.push(task)
  }

  async close(): Promise<void> {
    this.isClosed = true
    return Promise.resolve()
  }
}

type Bench = EventLoopParts & {
  readonly core: ScriptedCore
  readonly store: EmptyStore
  readonly counters: Counters
  readonly driver: EventLoop
  readonly events: NodeEvent[]
  readonly bugs: unknown[]
}

async function bench(context: TestContext): Promise<Bench> {
  const events: NodeEvent[] = []
  const bugs: unknown[] = []
  const parts = {
    core: new ScriptedCore(),
    store: new EmptyStore(),
    socket: await openUdpSocket({ ip: '127.0.0.1', port: 0 }),
    counters: createCounters(),
    onEvent: (event: NodeEvent) => events.push(event),
    onBug: (error: unknown) => bugs.push(error),
  }
  const driver = new EventLoop(parts)
  driver.start()
  context.after(async () => {
    await driver.stop()
    await parts.socket.close()
  })
  return { ...parts, driver, events, bugs }
}

/** Resolves when the core got an input that fits. */
async function reported(core: ScriptedCore, fits: (input: Input) => boolean): Promise<Input> {
  const { promise, resolve } = Promise.withResolvers<Input>()
  const { decide } = core
  core.decide = (input) => {
    if (fits(input)) resolve(input)
    return decide(input)
  }
  return promise
}

test('a datagram goes out, comes in and is counted by nobody but the core', async (context) => {
  const { driver, core, socket } = await bench(context)
  core.decide = ({ type }) =>
    type === 'network' ? [{ type: 'send', to: socket.address, bytes: Uint8Array.of(1, 2) }] : []
  const came = reported(core, ({ type }) => type === 'datagram')
  driver.feed({ type: 'network', ips: [] })
  const input = await came
  ok(input.type === 'datagram')
  deepEqual([input.from, ...input.bytes], [socket.address, 1, 2])
})

test('the deadline is kept, and looked at again when it has moved', async (context) => {
  const { driver, core } = await bench(context)
  const ticked = reported(core, ({ type }) => type === 'tick')
  const start = systemScheduler.nowUs()
  core.due = start + 2_000
  driver.feed({ type: 'network', ips: [] })
  core.due = start + 8_000
  core.decide = ((before) => (input: Input) => {
    if (input.type === 'tick') core.due = undefined
    return before(input)
  })(core.decide)
  await ticked
  const tookUs = systemScheduler.nowUs() - start
  ok(tookUs >= 8_000, `${tookUs} µs`)
})

test('a deadline that lies in the past is kept in the same turn of the loop', async (context) => {
  const { driver, core } = await bench(context)
  core.due = 0
  core.decide = ({ type }) => {
    if (type === 'tick') core.due = undefined
    return []
  }
  driver.feed({ type: 'network', ips: [] })
  await new Promise(setImmediate)
  deepEqual(
    core.inputs.map(({ type }) => type),
    ['network', 'tick'],
  )
})

test('what a look-up answers at once waits for the decisions before it', async (context) => {
  const { driver, core, store } = await bench(context)
  core.decide = ({ type }) =>
    type === 'network'
      ? [
          { type: 'resolve', host: '10.0.0.1' },
          { type: 'store', work: { type: 'release-session', session: 1 } },
        ]
      : [{ type: 'store', work: { type: 'release-session', session: 2 } }]
  driver.feed({ type: 'network', ips: [] })
  deepEqual(core.inputs[1], { type: 'resolved', host: '10.0.0.1', ips: ['10.0.0.1'], reason: '' })
  deepEqual(store.tasks, [
    { type: 'release-session', session: 1 },
    { type: 'release-session', session: 2 },
  ])
})

test('a socket that speaks IPv4 only is never given an IPv6 address', async (context) => {
  const { driver, core } = await bench(context)
  core.decide = ({ type }) => (type === 'network' ? [{ type: 'resolve', host: '::1' }] : [])
  driver.feed({ type: 'network', ips: [] })
  const input = core.inputs[1]
  ok(input?.type === 'resolved')
  deepEqual([input.ips, input.reason], [[], 'only IPv6 addresses, and this machine has no IPv6'])
})

test('a datagram that is too long for the path is a fact for the core', async (context) => {
  const { driver, core, counters } = await bench(context)
  const to = { ip: '127.0.0.1', port: 9 }
  core.decide = ({ type }) =>
    type === 'network' ? [{ type: 'send', to, bytes: new Uint8Array(65_535) }] : []
  const came = reported(core, ({ type }) => type === 'too-long')
  driver.feed({ type: 'network', ips: [] })
  deepEqual(await came, { type: 'too-long', to, bytes: 65_535 })
  deepEqual(counters.sendsFailed, { EMSGSIZE: 1 })
})

test('what the system does not send, and why, is a fact for the core', async (context) => {
  const { driver, core } = await bench(context)
  // Bound to loopback, it reaches nothing else.
  const to = { ip: '192.0.2.1', port: 9 }
  core.decide = ({ type }) =>
    type === 'network' ? [{ type: 'send', to, bytes: new Uint8Array(9) }] : []
  const came = reported(core, ({ type }) => type === 'unsent')
  driver.feed({ type: 'network', ips: [] })
  const input = await came
  ok(input.type === 'unsent')
  deepEqual(input.to, to)
  ok(/\((EINVAL|ENETUNREACH|EADDRNOTAVAIL|EHOSTUNREACH)\)$/.test(input.reason), input.reason)
})

test('results of the store and events reach their places', async (context) => {
  const { core, store, events, counters } = await bench(context)
  const event = { type: 'peer-opened', key: '', from: { ip: '10.0.0.1', port: 1 } } as const
  core.decide = () => [{ type: 'event', event }]
  const effort = { ...emptyTotals(), commits: 2, delivered: 7, busyUs: 3_000 }
  store.listener?.onResults([{ type: 'superseded', session: 3 }], effort)
  deepEqual(core.inputs, [{ type: 'stored', result: { type: 'superseded', session: 3 } }])
  deepEqual([events, counters.events], [[event], { 'peer-opened': 1 }])
  const { commits, delivered } = counters.done
  deepEqual([commits, delivered, counters.storeBusyUs], [2, 7, 3_000])
})

test('P12: peers are contacted when the network has changed', async (context) => {
  const { driver, core, store } = await bench(context)
  store.peers = [
    { host: '10.0.0.1', port: 1 },
    { host: '10.0.0.1', port: 2 },
    { host: 'fe80::1%lo', port: 3 },
  ]
  driver.onNetwork(['127.0.0.1'])
  const addresses = core.inputs.flatMap((input) =>
    input.type === 'wake-peers' ? input.addresses : [],
  )
  deepEqual(addresses, [
    { ip: '10.0.0.1', port: 1 },
    { ip: '10.0.0.1', port: 2 },
    { ip: 'fe80::1%lo', port: 3 },
  ])
})

test('a bug of the core ends the driver and is reported once', async (context) => {
  const { driver, core, bugs } = await bench(context)
  core.decide = () => {
    throw new Error('should not happen')
  }
  driver.feed({ type: 'network', ips: [] })
  driver.feed({ type: 'network', ips: [] })
  equal(bugs.length, 1)
  equal(core.inputs.length, 1)
})

test('stopping closes the sessions first, then the store', async (context) => {
  const { driver, core, store } = await bench(context)
  const { promise, resolve } = Promise.withResolvers<boolean>()
  core.decide = () => {
    resolve(store.isClosed)
    return []
  }
  await driver.stop()
  equal(await promise, false)
  deepEqual(core.inputs, [{ type: 'stop' }])
  equal(store.isClosed, true)
})
