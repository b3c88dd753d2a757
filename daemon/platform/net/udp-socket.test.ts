import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Address } from '../../protocol/io.ts'
import { openUdpSocket, type UdpEvents, type UdpOptions, type UdpSocket } from './udp-socket.ts'

async function opened(context: TestContext, options: UdpOptions): Promise<UdpSocket> {
  const socket = await openUdpSocket(options)
  context.after(async () => socket.close())
  return socket
}

const unwatched: UdpEvents = {
  onDatagram: () => {},
  onSendFailed: () => {},
  onReceiveFailed: () => {},
}

/** Sends `text` and resolves with what the other socket received. */
async function pass(from: UdpSocket, via: string, to: UdpSocket): Promise<[Address, string]> {
  const { promise, resolve } = Promise.withResolvers<[Address, string]>()
  const onDatagram: UdpEvents['onDatagram'] = (address, bytes) => {
    resolve([address, new TextDecoder().decode(bytes)])
  }
  to.listen({ ...unwatched, onDatagram })
  from.send({ ip: via, port: to.address.port }, new TextEncoder().encode('hello'))
  return promise
}

test('one socket speaks IPv6 and IPv4, and IPv4 looks like IPv4', async (context) => {
  const both = await opened(context, { ip: undefined, port: 0 })
  const old = await opened(context, { ip: '127.0.0.1', port: 0 })
  deepEqual(await pass(old, '127.0.0.1', both), [old.address, 'hello'])
  deepEqual(await pass(both, '127.0.0.1', old), [
    { ip: '127.0.0.1', port: both.address.port },
    'hello',
  ])
})

test('one socket speaks IPv6 where the machine does', async (context) => {
  const first = await opened(context, { ip: undefined, port: 0 })
  if (!first.hasIpv6) return
  const second = await opened(context, { ip: undefined, port: 0 })
  const [from] = await pass(first, '::1', second)
  deepEqual(from, { ip: '::1', port: first.address.port })
})

test('a port that is taken is reported in a sentence', async (context) => {
  const { port } = (await opened(context, { ip: undefined, port: 0 })).address
  await rejects(openUdpSocket({ ip: undefined, port }), {
    code: 'TINYMQ_PORT_IN_USE',
    message: new RegExp(`^UDP port ${port} is taken by another process`),
  })
})

test('an address of another machine is reported in a sentence', async () => {
  await rejects(openUdpSocket({ ip: '192.0.2.1', port: 0 }), { code: 'TINYMQ_INVALID_ADDRESS' })
})

test('what the system does not send is reported, never thrown', async (context) => {
  const socket = await opened(context, { ip: undefined, port: 0 })
  const failures: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.listen({
    ...unwatched,
    onSendFailed: (code, to, bytes) => {
      failures.push(`${code} ${to.port} ${bytes}`)
      if (failures.length === 2) resolve()
    },
  })
  socket.send({ ip: '127.0.0.1', port: 9 }, new Uint8Array(65_535))
  socket.send({ ip: '127.0.0.1', port: 0 }, new Uint8Array(1))
  await promise
  ok(failures.includes('EMSGSIZE 9 65535'), failures.join())
  ok(failures.includes('ERR_SOCKET_BAD_PORT 0 1'), failures.join())
})

test('what was sent before closing still leaves', async (context) => {
  const receiver = await opened(context, { ip: '127.0.0.1', port: 0 })
  const sender = await openUdpSocket({ ip: '127.0.0.1', port: 0 })
  const received = pass(sender, '127.0.0.1', receiver)
  await sender.close()
  equal((await received)[1], 'hello')
})
