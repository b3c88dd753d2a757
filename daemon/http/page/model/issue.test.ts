import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { HealthLevel, Peer } from '../../api-types.ts'
import {
  filterPeers,
  headlineOf,
  isStuck,
  peerStateText,
  stuckSince,
  titleOf,
  toneOfPeer,
  worstFirst,
} from './issue.ts'

const peer = (changes: Partial<Peer>): Peer => {
  return {
    direction: 'out',
    host: 'MachineB',
    port: 9000,
    key: '',
    state: 'open',
    errorCode: null,
    error: null,
    since: null,
    retryAt: null,
    waiting: null,
    oldestAgeMs: null,
    watermark: 0,
    rttMs: null,
    packets: null,
    lost: null,
    lossShare: null,
    rowsPerS: null,
    lastEvent: null,
    ...changes,
  }
}

const finding = (
  level: HealthLevel,
): { level: HealthLevel; code: string; sentence: string; hint: string } => {
  return { level, code: level, sentence: '', hint: '' }
}

test('errors come before warnings, and those before what is well', () => {
  const levels = (['ok', 'warn', 'error', 'warn'] as const).map(finding)
  deepEqual(
    worstFirst(levels).map(({ level }) => level),
    ['error', 'warn', 'warn', 'ok'],
  )
})

test('the headline counts what is wrong, and says so before it knows what', () => {
  equal(headlineOf('ok', null), 'All is well')
  equal(headlineOf('error', null), 'Something is wrong')
  equal(headlineOf('warn', [finding('ok')]), 'Something needs a look')
  equal(
    headlineOf('error', (['error', 'warn', 'warn'] as const).map(finding)),
    '1 error, 2 warnings',
  )
})

test('the tab says what is wrong, and that nothing is known', () => {
  deepEqual(
    [
      titleOf('Peers', 'a', 'ok', false),
      titleOf('Peers', 'a', 'warn', false),
      titleOf('Peers', 'a', 'error', false),
      titleOf('Peers', 'a', 'ok', true),
      titleOf('Peers', null, null, false),
    ],
    ['Peers · a · tinymq', '! Peers · a · tinymq', '✕ Peers · a · tinymq'].concat(
      '? Peers · a · tinymq',
      'Peers · tinymq',
    ),
  )
})

test('a peer is stuck when rows for it wait because of a fault; a sender never is', () => {
  equal(isStuck(peer({ state: 'waiting', errorCode: 'TINYMQ_NO_ANSWER' })), true)
  equal(isStuck(peer({})), false)
  equal(isStuck(peer({ direction: 'in', errorCode: 'X', state: null })), false)
  deepEqual([peer({}), peer({ state: 'idle' }), peer({ state: 'connecting' })].map(toneOfPeer), [
    'ok',
    'quiet',
    'warn',
  ])
  equal(peerStateText(peer({ direction: 'in', state: null })), 'sender')
})

test('what is stuck is reported with since when the oldest fault lasts', () => {
  equal(stuckSince([peer({ since: 5 })]), null)
  const stuck = [7_000, 5_000, null].map((since) => peer({ errorCode: 'X', since }))
  equal(stuckSince([peer({ since: 5 }), ...stuck]), 5_000)
})

test('a filter takes every word, anywhere', () => {
  const peers = [
    peer({ host: 'MachineB' }),
    peer({ host: 'MachineC', errorCode: 'TINYMQ_NO_ANSWER', error: 'no answer from it' }),
  ]
  const found = (filter: string): string[] => filterPeers(peers, filter).map(({ host }) => host)
  deepEqual(found(''), ['MachineB', 'MachineC'])
  deepEqual(found('  machinec:9000 '), ['MachineC'])
  deepEqual(found('stuck answer'), ['MachineC'])
  deepEqual(found('machine nothing'), [])
})
