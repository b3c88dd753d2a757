import { deepStrictEqual, notDeepStrictEqual, throws } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HashChain } from './hash-chain.ts'
import { hex } from '../../test/support/hex.ts'
import { equalBytes } from '../protocol/codec/buffer.ts'

let hashes = 0

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  hashes++
  const sha = createHash('sha256')
  for (const part of parts) sha.update(part)
  return sha.digest()
}

/** `count` uids one after the other: each is its sequence, big-endian. */
function uidsOf(count: number): Uint8Array {
  const uids = new Uint8Array(16 * count)
  const view = new DataView(uids.buffer)
  for (let sequence = 1; sequence <= count; sequence++) view.setUint32(16 * sequence - 4, sequence)
  return uids
}

function chainOf(uids: Uint8Array): HashChain {
  const chain = new HashChain(sha256)
  chain.appendMany(uids)
  return chain
}

/** PROTOCOL §7.2, word for word and from the beginning. */
function digestByTheBook(uids: Uint8Array): string {
  let block = Buffer.alloc(32)
  const blocks = Math.floor(uids.length / 1024)
  for (let k = 1; k <= blocks; k++) {
    const rows = uids.subarray(1024 * (k - 1), 1024 * k)
    block = Buffer.from(
      createHash('sha256')
        .update(Buffer.concat([block, rows]))
        .digest(),
    )
  }
  const last = Buffer.concat([block, uids.subarray(1024 * blocks)])
  return createHash('sha256').update(last).digest('hex').slice(0, 32)
}

// Digests of the sequences 1 to n, each uid being its sequence in 16 bytes, big-endian.
const vectors = new Map([
  [0, '66687aadf862bd776c8fc18b8e9f8e20'],
  [1, '86f77354f38f799c3e3d853dec927db2'],
  [63, '139f4bcc0c24b55261feaa9cb8a123b6'],
  [64, '8904588c21307997f5daa2f309ade56b'],
  [65, '75135ff43c6a5581877ab3d82b4dabf1'],
  [128, 'a96295a5fd997b410ccacb03aaa56812'],
  [10_000, 'a28e842e28b185ec2a04e74b7f50162f'],
])

test('the digests are those of the specification', () => {
  for (const [count, digest] of vectors) {
    const uids = uidsOf(count)
    deepStrictEqual(hex(chainOf(uids).digest()), digest)
    deepStrictEqual(digestByTheBook(uids), digest)
  }
})

test('rows appended one by one or in batches make one chain', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 200 }), { maxLength: 8 }), (batches) => {
      const uids = uidsOf(batches.reduce((sum, batch) => sum + batch, 0))
      const inBatches = new HashChain(sha256)
      const oneByOne = new HashChain(sha256)
      let from = 0
      for (const batch of batches) {
        inBatches.appendMany(uids.subarray(from, from + 16 * batch))
        from += 16 * batch
      }
      for (let at = 0; at < uids.length; at += 16) oneByOne.append(uids.subarray(at, at + 16))
      deepStrictEqual(hex(inBatches.digest()), digestByTheBook(uids))
      deepStrictEqual(inBatches.encode(), oneByOne.encode())
      deepStrictEqual(inBatches.sequence, uids.length / 16)
    }),
  )
})

test('another uid anywhere, or another order, is another digest', () => {
  const uids = uidsOf(130)
  const digest = chainOf(uids).digest()
  for (const changed of [0, 63, 64, 129]) {
    const others = uids.slice()
    others[16 * changed] = 1
    notDeepStrictEqual(chainOf(others).digest(), digest)
  }
  const swapped = uids.slice()
  swapped.copyWithin(0, 16, 32)
  swapped.set(uids.subarray(0, 16), 16)
  notDeepStrictEqual(chainOf(swapped).digest(), digest)
})

test('it costs one hash for 64 rows and one for each digest', () => {
  const chain = new HashChain(sha256)
  hashes = 0
  chain.appendMany(uidsOf(6_400))
  deepStrictEqual(hashes, 100)
  chain.digest()
  deepStrictEqual(hashes, 101)
})

test('what is written is read, and goes on alike', () => {
  for (const count of [0, 1, 63, 64, 65, 200]) {
    const chain = chainOf(uidsOf(count))
    const bytes = Buffer.from(chain.encode())
    const copy = HashChain.decode(bytes, sha256)
    bytes.fill(0xff)
    copy?.appendMany(uidsOf(70))
    chain.appendMany(uidsOf(70))
    deepStrictEqual(copy?.encode(), chain.encode())
    deepStrictEqual(copy.digest(), chain.digest())
  }
})

test('the written form is the sequence, the block and the rows after it', () => {
  const empty = '00'.repeat(8 + 32)
  deepStrictEqual(hex(new HashChain(sha256).encode()), empty)
  deepStrictEqual(
    hex(chainOf(uidsOf(1)).encode()),
    `${'00'.repeat(7)}01${'00'.repeat(32)}${hex(uidsOf(1))}`,
  )
  deepStrictEqual(chainOf(uidsOf(63)).encode().length, 1_048)
  deepStrictEqual(chainOf(uidsOf(64)).encode().length, 40)
})

test('bytes that no chain is written as are not read', () => {
  const one = chainOf(uidsOf(1)).encode()
  const full = chainOf(uidsOf(64)).encode()
  const beyond = full.slice()
  beyond.set([0x00, 0x20], 0)
  const withBlock = one.slice()
  withBlock[20] = 1
  const foreign = [
    new Uint8Array(0),
    one.subarray(0, 39),
    one.subarray(0, 55),
    Uint8Array.from([...one, 0]),
    Uint8Array.from([...full, ...uidsOf(1)]),
    beyond,
    withBlock,
  ]
  for (const bytes of foreign) deepStrictEqual(HashChain.decode(bytes, sha256), undefined)
})

test('what is read is written as it was', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_100 }), (bytes) => {
      const chain = HashChain.decode(bytes, sha256)
      return chain === undefined || equalBytes(chain.encode(), bytes)
    }),
  )
})

test('a clone goes its own way', () => {
  const chain = chainOf(uidsOf(70))
  const before = chain.encode()
  const clone = chain.clone()
  deepStrictEqual(clone.encode(), before)
  clone.appendMany(uidsOf(100))
  deepStrictEqual(chain.encode(), before)
})

test('half a uid is our own bug', () => {
  const chain = new HashChain(sha256)
  throws(() => chain.append(new Uint8Array(32)), { name: 'AssertionFailure' })
  throws(() => chain.appendMany(new Uint8Array(24)), { name: 'AssertionFailure' })
})
