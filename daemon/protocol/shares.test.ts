import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ownerOf, Shares, sourceOf } from './shares.ts'

test('whoever has most is named with the oldest item first', () => {
  const shares = new Shares<number>()
  deepStrictEqual([...shares.fullest()], [])
  for (const item of [1, 2]) shares.add('a', item)
  for (const item of [3, 4, 5]) shares.add('b', item)
  deepStrictEqual([...shares.fullest()], [3, 4, 5])
  for (const item of [3, 4]) shares.remove('b', item)
  deepStrictEqual([...shares.fullest()], [1, 2])
  shares.remove('b', 5)
  deepStrictEqual([shares.of('a').size, shares.of('b').size], [2, 0])
})

test('a public IPv6 network is one source, and so is every other address', () => {
  const sources: Readonly<Record<string, string>> = {
    '10.0.0.1': '10.0.0.1',
    '8.8.8.8': '8.8.8.8',
    'fd00::1:2': 'fd00::1:2',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2',
    '2001:db8::6': '2001:db8:0:0',
    '2001:db8:1:2::': '2001:db8:1:2',
    '::1': '::1',
  }
  for (const [ip, source] of Object.entries(sources)) deepStrictEqual(sourceOf(ip), source)
})

test('a key pays for its sessions, and an address for those without a key', () => {
  deepStrictEqual(ownerOf('k', '10.0.0.1'), ownerOf('k', '10.0.0.2'))
  deepStrictEqual(ownerOf('', '10.0.0.1') === ownerOf('', '10.0.0.2'), false)
  deepStrictEqual(ownerOf('', '10.0.0.1') === ownerOf('10.0.0.1', ''), false)
})
