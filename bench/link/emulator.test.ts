import { deepEqual, equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { needs } from '../../test/support/needs.ts'
import { compileEmulator, emulatorWords } from './emulator.ts'
import type { LinkConditions } from './link.ts'

const skip = needs('cc')

const directory = mkdtempSync(join(tmpdir(), 'tinymq-emulator-'))
after(() => rmSync(directory, { recursive: true, force: true }))

type Packet = { readonly atUs: number; readonly bytes: number }
type Fate = number | 'dropped' | 'lost'

/** A megabyte a second: a byte a microsecond. */
const usual: LinkConditions = {
  bytesPerSecond: 1_000_000,
  bufferBytes: 10_000,
  delayUs: 50_000,
  loss: 0,
}

/** What becomes of packets that are offered to one direction: when each arrives, or why not. */
function fates(packets: readonly Packet[], conditions: Partial<LinkConditions> = {}): Fate[] {
  const words = emulatorWords({ ...usual, ...conditions }, 1)
  const reported = execFileSync(compileEmulator(directory), ['replay', ...words], {
    input: packets.map(({ atUs, bytes }) => `${atUs} ${bytes}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 1e8,
  })
  return reported
    .trim()
    .split('\n')
    .map((line) => (line === 'dropped' || line === 'lost' ? line : Number(line)))
}

/** So many packets, one every `everyUs`. */
function train(count: number, bytes: number, everyUs: number): Packet[] {
  return Array.from({ length: count }, (_, index) => ({ atUs: index * everyUs, bytes }))
}

test('a lone packet takes its time on the link and the delay', { skip }, () => {
  deepEqual(fates([{ atUs: 7, bytes: 1_000 }]), [51_007])
  deepEqual(fates([{ atUs: 7, bytes: 1_000 }], { delayUs: 0 }), [1_007])
})

test('packets that come at once leave at the rate, in order', { skip }, () => {
  deepEqual(fates(train(4, 1_000, 0)), [51_000, 52_000, 53_000, 54_000])
})

test('packets that come slower than the rate do not wait for each other', { skip }, () => {
  deepEqual(fates(train(3, 1_000, 2_000)), [51_000, 53_000, 55_000])
})

test('the queue holds its bytes and drops what comes on top', { skip }, () => {
  const fate = fates(train(12, 1_000, 0))
  deepEqual(fate.slice(9), [60_000, 'dropped', 'dropped'])
  // A small one still fits where a large one does not.
  const mixed = [{ atUs: 0, bytes: 9_500 }, ...train(1, 1_000, 0), ...train(1, 500, 0)]
  deepEqual(fates(mixed), [59_500, 'dropped', 60_000])
})

test('what has been served makes room, what is on the wire takes none', { skip }, () => {
  // Ten fill the queue; every millisecond one is served, long before it arrives.
  const fate = fates([...train(10, 1_000, 0), { atUs: 1_000, bytes: 1_000 }])
  equal(fate[10], 61_000)
  const tooEarly = fates([...train(10, 1_000, 0), { atUs: 999, bytes: 1_000 }])
  equal(tooEarly[10], 'dropped')
})

test(
  'an overload of three to one passes at the rate, and two of three are dropped',
  { skip },
  () => {
    const fate = fates(train(30_000, 1_000, 333))
    const arrived = fate.filter((one) => typeof one === 'number')
    const spanUs = (arrived.at(-1) ?? 0) - (arrived[0] ?? 0)
    const bytesPerSecond = ((arrived.length - 1) * 1_000 * 1e6) / spanUs
    ok(Math.abs(bytesPerSecond - 1_000_000) < 100, `${bytesPerSecond} bytes/s`)
    ok(Math.abs(arrived.length / fate.length - 1 / 3) < 0.01)
  },
)

test('the wire loses by chance, as much as it should, and not in a pattern', { skip }, () => {
  for (const loss of [0.01, 0.1, 0.3]) {
    const isLost = fates(train(30_000, 100, 1_000), { loss }).map((fate) => fate === 'lost')
    const part = isLost.filter(Boolean).length / isLost.length
    const deviation = Math.sqrt((loss * (1 - loss)) / isLost.length)
    ok(Math.abs(part - loss) < 4 * deviation, `${part} of ${loss}`)
    // Of those behind a lost one as many are lost as of all.
    const behind = isLost.filter((_, index) => isLost[index - 1])
    const partBehind = behind.filter(Boolean).length / behind.length
    const deviationBehind = Math.sqrt((loss * (1 - loss)) / behind.length)
    ok(Math.abs(partBehind - loss) < 4 * deviationBehind, `${partBehind} behind a lost one`)
  }
})

test('a packet that the wire loses has taken its time on the link all the same', { skip }, () => {
  const fate = fates(train(1_000, 1_000, 0), { loss: 0.5, bufferBytes: 1e9 })
  for (const [index, one] of fate.entries()) {
    if (typeof one === 'number') equal(one, 51_000 + index * 1_000)
  }
})

test('packets that take more or less time by chance overtake each other', { skip }, () => {
  const fate = fates(train(10_000, 100, 1_000), { jitterUs: 20_000 })
  const lateUs = fate.map((one, index) => Number(one) - index * 1_000 - 100)
  ok(Math.min(...lateUs) >= 30_000 && Math.min(...lateUs) < 30_100)
  ok(Math.max(...lateUs) <= 70_000 && Math.max(...lateUs) > 69_900)
  const mean = lateUs.reduce((sum, us) => sum + us) / lateUs.length
  ok(Math.abs(mean - 50_000) < 500, `${mean}`)
  ok(fate.filter((one, index) => Number(one) < Number(fate[index - 1])).length > 4_000)
})

test('a line of packets longer than what it can hold at once loses no order', { skip }, () => {
  // More than it has slots for, over time: they are used again.
  const fate = fates(train(40_000, 1_000, 1_000))
  equal(fate.length, 40_000)
  ok(fate.every((one, index) => one === 51_000 + index * 1_000))
})
