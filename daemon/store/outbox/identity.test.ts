import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  applyIdentityRules,
  type LaneIdentity,
  type OpenedIdentity,
  type IdentityVerdict,
} from './identity-check.ts'

const own = id(1)
const peer = id(2)
const unknown = id(3)
const ours = id(4)
const theirs = id(5)

function id(n: number): Uint8Array {
  return new Uint8Array(16).fill(n)
}

function never(): never {
  throw new Error('This need not be asked.')
}

/** A lane that has confirmed 10 and numbered 20, with a peer that it knows; its digests agree. */
function laneWith(change: Partial<LaneIdentity>): LaneIdentity {
  return {
    ownDatabase: own,
    addressIsOwn: false,
    peer,
    confirmed: 10,
    numbered: 20,
    digestAt: () => ours,
    oldestRowMs: never,
    ...change,
  }
}

function openedWith(change: Partial<OpenedIdentity>): OpenedIdentity {
  return { database: peer, watermark: 10, digest: ours, logStart: 0, ...change }
}

function decision(lane: Partial<LaneIdentity>, opened: Partial<OpenedIdentity>): IdentityVerdict {
  return applyIdentityRules(laneWith(lane), openedWith(opened))
}

function goFrom(from: number, ambiguous = false): IdentityVerdict {
  return { type: 'go', peer, from, ambiguous }
}

const fresh = { confirmed: 0, numbered: 0, digestAt: never }
const unmet = { ...fresh, peer: undefined }
const forked = { type: 'renew', peer, event: { code: 'SELF_FORKED' } }
const rolledBack = { type: 'renew', peer, event: { code: 'SELF_ROLLED_BACK' } }

test('rule 0: the own database behind a foreign address is rejected, met or not', () => {
  const refusal = { type: 'reject', event: { code: 'SELF_LOOP' } }
  deepStrictEqual(decision({ digestAt: never }, { database: own }), refusal)
  deepStrictEqual(decision(unmet, { database: own, watermark: 0 }), refusal)
  deepStrictEqual(decision({ peer: own }, { database: own }), refusal)
})

test('rule 0: a lane that has been with another database does not turn to its own', () => {
  const refusal = { type: 'reject', event: { code: 'SELF_LOOP' } }
  deepStrictEqual(decision({ addressIsOwn: true, digestAt: never }, { database: own }), refusal)
})

test('rule 0: a lane to the own address is a lane like others', () => {
  const lane = { peer: own, addressIsOwn: true }
  const opened = { database: own, watermark: 12 }
  deepStrictEqual(decision(lane, opened), { type: 'go', peer: own, from: 13, ambiguous: false })
})

test('rule 1: first contact makes the peer known and sends from the beginning', () => {
  deepStrictEqual(decision(unmet, { watermark: 0 }), goFrom(1))
})

test('rule 1: a copy may have been there before the first contact', () => {
  deepStrictEqual(decision(unmet, { watermark: 1 }), rolledBack)
  const lane = { ...unmet, oldestRowMs: () => 5 }
  deepStrictEqual(decision(lane, { watermark: 0, logStart: 5 }), goFrom(1, true))
})

test('rule 2: another database gets a new stream, whatever else it says', () => {
  const replaced = { type: 'renew', peer: unknown, event: { code: 'PEER_REPLACED' } }
  for (const watermark of [0, 5, 10, 15, 20, 25]) {
    deepStrictEqual(decision({ digestAt: never }, { database: unknown, watermark }), replaced)
  }
  deepStrictEqual(decision(fresh, { database: unknown, watermark: 0 }), replaced)
})

test('rule 3: nothing stored and nothing confirmed begins at 1, numbered or not', () => {
  deepStrictEqual(decision(fresh, { watermark: 0 }), goFrom(1))
  deepStrictEqual(decision({ ...fresh, numbered: 20 }, { watermark: 0 }), goFrom(1))
})

test('rule 4: what the peer has lost is named from the first to the last sequence', () => {
  const lost = (from: number): unknown => ({
    type: 'renew',
    peer,
    event: { code: 'PEER_ROLLED_BACK', from, to: 10 },
  })
  deepStrictEqual(decision({ digestAt: never }, { watermark: 9 }), lost(10))
  deepStrictEqual(decision({ digestAt: never }, { watermark: 0 }), lost(1))
})

test('rule 5: sequences that this database never gave', () => {
  deepStrictEqual(decision({ digestAt: never }, { watermark: 21 }), rolledBack)
  deepStrictEqual(decision(fresh, { watermark: 1 }), rolledBack)
})

test('rule 6: sequences that this database gave to other rows', () => {
  for (const watermark of [10, 15, 20]) {
    deepStrictEqual(decision({}, { watermark, digest: theirs }), forked)
  }
})

test('rule 7: what the peer has is confirmed, and the next row follows', () => {
  for (const watermark of [10, 15, 20]) {
    deepStrictEqual(decision({}, { watermark }), goFrom(watermark + 1))
  }
})

test('rules 6 and 7 ask for the digest at the watermark of the peer, once', () => {
  const asked: number[] = []
  const digestAt = (sequence: number): Uint8Array => {
    asked.push(sequence)
    return ours
  }
  decision({ digestAt }, { watermark: 15 })
  deepStrictEqual(asked, [15])
})

test('rule 9: a row as old as what the peer has forgotten may be duplicated', () => {
  for (const [oldestMs, ambiguous] of [
    [undefined, false],
    [1_001, false],
    [1_000, true],
    [1, true],
  ] as const) {
    const lane = { oldestRowMs: () => oldestMs }
    deepStrictEqual(decision(lane, { watermark: 15, logStart: 1_000 }), goFrom(16, ambiguous))
    deepStrictEqual(
      decision({ ...fresh, ...lane }, { watermark: 0, logStart: 1_000 }),
      goFrom(1, ambiguous),
    )
  }
})

test('rule 9: rows that the peer has just shown to have do not count', () => {
  const asked: number[] = []
  const oldestRowMs = (watermark: number): undefined => {
    asked.push(watermark)
  }
  decision({ oldestRowMs }, { watermark: 15, logStart: 1_000 })
  deepStrictEqual(asked, [15])
})

test('rule 9: a new stream is checked when it is opened, not before', () => {
  deepStrictEqual(decision({}, { watermark: 21, logStart: 1_000 }), rolledBack)
  deepStrictEqual(decision({}, { digest: theirs, logStart: 1_000 }), forked)
})

test('a lane that confirmed what it never numbered is our own bug', () => {
  throws(() => decision({ confirmed: 21 }, {}), { name: 'AssertionFailure' })
})
