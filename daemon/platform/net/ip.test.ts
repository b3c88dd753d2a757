import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalIp, fromSocket, toDualStack } from './ip.ts'

test('every spelling of an address comes out as one', () => {
  const spellings = ['FE80:0:0:0:0:0:0:1', 'fe80::0001', 'fe80::1'].map(canonicalIp)
  deepEqual(new Set(spellings), new Set(['fe80::1']))
  equal(canonicalIp('10.0.0.1'), '10.0.0.1')
})

test('IPv4 inside IPv6 is IPv4', () => {
  deepEqual(
    ['::ffff:192.168.1.2', '::FFFF:c0a8:102', '0:0:0:0:0:ffff:192.168.1.2'].map(canonicalIp),
    ['192.168.1.2', '192.168.1.2', '192.168.1.2'],
  )
  equal(fromSocket('::ffff:192.168.1.2'), '192.168.1.2')
})

test('the scope of a link-local address is kept', () => {
  equal(canonicalIp('FE80::1%eth0'), 'fe80::1%eth0')
  equal(fromSocket('fe80::1%eth0'), 'fe80::1%eth0')
})

test('what comes from the socket goes back to it', () => {
  for (const ip of ['::ffff:10.1.2.3', '::1', 'fe80::1%eth0']) {
    equal(toDualStack(fromSocket(ip)), ip)
  }
})
