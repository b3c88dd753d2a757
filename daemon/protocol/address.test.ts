import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { addressKey, isLoopback, isPrivate, showAddress } from './io.ts'

test('private are loopback, RFC 1918, carrier-grade, link-local and unique local addresses', () => {
  const inside = [
    '127.0.0.1',
    '127.255.0.9',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.0.1',
    '100.64.0.1',
    '100.127.255.255',
    '::1',
    'fe80::1',
    'febf::1%eth0',
    'fd00::1',
    'fc12:3456::1',
    'FD00::1',
  ]
  deepStrictEqual(
    inside.filter((ip) => !isPrivate(ip)),
    [],
  )
})

test('all others are not, however they begin', () => {
  const outside = [
    '8.8.8.8',
    '11.0.0.1',
    '172.15.0.1',
    '172.32.0.1',
    '192.169.0.1',
    '169.253.0.1',
    '100.63.0.1',
    '100.128.0.1',
    '0.0.0.0',
    '::',
    '2001:db8::1',
    'fec0::1',
    'ff02::1',
    'fd::1',
    'fe8::1',
    '',
  ]
  deepStrictEqual(outside.filter(isPrivate), [])
})

test('loopback is this machine', () => {
  deepStrictEqual(['127.0.0.1', '::1', '10.0.0.1'].map(isLoopback), [true, true, false])
})

test('addresses are shown as people write them, and distinguished as keys', () => {
  deepStrictEqual(showAddress({ ip: '10.0.0.1', port: 9000 }), '10.0.0.1:9000')
  deepStrictEqual(showAddress({ ip: 'fe80::1', port: 9000 }), '[fe80::1]:9000')
  const keys = [
    { ip: '10.0.0.1', port: 11 },
    { ip: '10.0.0.11', port: 1 },
  ].map(addressKey)
  deepStrictEqual(new Set(keys).size, 2)
})
