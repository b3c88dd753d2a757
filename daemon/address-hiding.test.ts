import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { addressHidingWarning, gatewayIn } from './address-hiding.ts'

const routes = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
`

test('the default gateway is read from the table of routes', () => {
  equal(gatewayIn(routes), '172.17.0.1')
  equal(gatewayIn(routes.split('\n').slice(0, 2).join('\n')), undefined)
  equal(gatewayIn(''), undefined)
})

test('a container without a key ring says that a proxy may hide who sends', () => {
  const around = { isContainer: true, gateway: '172.17.0.1' }
  const isPrivate = { keylessFrom: 'private' } as const
  match(addressHidingWarning(isPrivate, false, around) ?? '', /as 172\.17\.0\.1, a private address/)
  equal(addressHidingWarning(isPrivate, true, around), undefined)
  equal(addressHidingWarning({ keylessFrom: 'anywhere' }, false, around), undefined)
  equal(addressHidingWarning(isPrivate, false, { ...around, isContainer: false }), undefined)
  equal(addressHidingWarning(isPrivate, false, { ...around, gateway: undefined }), undefined)
})
