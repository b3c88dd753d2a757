import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { NetworkWatch } from './udp-socket.ts'
import { ownAddresses } from './ip.ts'

test('own addresses are reported at the start and when they have changed', () => {
  const reported: string[] = []
  let ips = ['127.0.0.1']
  const network = new NetworkWatch(
    (now) => reported.push(now.join()),
    () => ips,
  )
  network.start()
  network.look()
  ips = ['10.0.0.5', '127.0.0.1']
  network.look()
  network.look()
  network.stop()
  deepEqual(reported, ['127.0.0.1', '10.0.0.5,127.0.0.1'])
})

test('the loopback address is one of them', () => {
  ok(ownAddresses().some((ip) => ip === '127.0.0.1' || ip === '::1'))
})
