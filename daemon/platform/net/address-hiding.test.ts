import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { addressHidingWarning, gatewayIn, proxyIpOf } from './address-hiding.ts'

const routes = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
`
const gateway = { ip: '172.17.0.1', networkInterface: 'eth0' }
const around = { isContainer: true, gateway }

test('the default gateway is read from the table of routes', () => {
  deepEqual(gatewayIn(routes), gateway)
  equal(gatewayIn(routes.split('\n').slice(0, 2).join('\n')), undefined)
  equal(gatewayIn(''), undefined)
})

test('unknown senders may be behind the gateway of a container, and behind nobody else', () => {
  equal(proxyIpOf(around), '172.17.0.1')
  equal(proxyIpOf({ ...around, isContainer: false }), undefined)
  equal(proxyIpOf({ ...around, gateway: undefined }), undefined)
})

test('a container without a key ring says that a proxy may hide who sends', () => {
  const isPrivate = { keylessFrom: 'private', keylessTokens: [] } as const
  const known = addressHidingWarning(isPrivate, false, around)
  match(known ?? '', /From 172\.17\.0\.1, the gateway, only databases that are known/)
  // Where nobody leads to from elsewhere nobody can be hidden.
  equal(addressHidingWarning(isPrivate, false, { ...around, gateway: undefined }), undefined)
  equal(addressHidingWarning(isPrivate, true, around), undefined)
  const anywhere = { keylessFrom: 'anywhere', keylessTokens: [] } as const
  equal(addressHidingWarning(anywhere, false, around), undefined)
  match(addressHidingWarning({ ...isPrivate, keylessTokens: ['t'] }, true, around) ?? '', /gateway/)
  equal(addressHidingWarning(isPrivate, false, { ...around, isContainer: false }), undefined)
})
