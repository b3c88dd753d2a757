import { deepStrictEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, array, integer, property, tuple } from 'fast-check'
import type { AckRange } from './ack-tracker.ts'
import { type AckOutcome, LossDetection, type PacketKind } from './loss-detection.ts'
import { Rtt } from './rtt.ts'

const rttUs = 100_000

/** A ledger whose round-trip time is 100 ms with no variance, and nothing in flight. */
function steadyLedger(): LossDetection<string> {
  const rtt = new Rtt()
  for (let i = 0; i < 200; i++) rtt.onSample(rttUs, 0)
  return new LossDetection<string>(rtt)
}

/** Sends packets `first` to `last` of 1,200 bytes, one each millisecond from `fromUs` on. */
function send(
  ledger: LossDetection<string>,
  first: number,
  last: number,
  fromUs = 0,
  kind: PacketKind = 'first',
): void {
  for (let n = first; n <= last; n++) {
    ledger.onPacketSent(n, 1_200, `content ${n}`, kind, fromUs + (n - first) * 1_000)
  }
}

function acked(
  ledger: LossDetection<string>,
  ranges: readonly AckRange[],
  nowUs: number,
  ackDelayUs = 0,
): Extract<AckOutcome<string>, { type: 'acked' }> {
  const outcome = ledger.onAckReceived(ranges, ackDelayUs, nowUs)
  if (outcome.type !== 'acked') throw new Error('The ack was rejected.')
  return outcome
}

function numbers(packets: readonly { packetNumber: number }[]): number[] {
  return packets.map((packet) => packet.packetNumber)
}

test('an acked packet leaves the flight once, with its content and a round-trip sample', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 1)
  deepStrictEqual([ledger.inFlightBytes, ledger.inFlightPackets], [2_400, 2])
  const outcome = acked(ledger, [{ first: 0, last: 0 }], rttUs)
  deepStrictEqual(
    outcome.newlyAcked.map((packet) => packet.content),
    ['content 0'],
  )
  deepStrictEqual([outcome.ackedBytes, outcome.rttSampleUs], [1_200, rttUs])
  deepStrictEqual([ledger.inFlightBytes, ledger.inFlightPackets], [1_200, 1])
  deepStrictEqual(acked(ledger, [{ first: 0, last: 0 }], rttUs).newlyAcked, [])
})

test('an ack that brings nothing newer gives no round-trip sample', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 2)
  acked(ledger, [{ first: 2, last: 2 }], rttUs + 2_000)
  const late = acked(ledger, [{ first: 1, last: 2 }], rttUs + 3_000)
  deepStrictEqual([numbers(late.newlyAcked), late.rttSampleUs], [[1], undefined])
  ok(late.rateSample !== undefined)
})

test('an ack of a packet that was never sent is a value and changes nothing', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 1)
  deepStrictEqual(ledger.onAckReceived([{ first: 0, last: 2 }], 0, rttUs), { type: 'never-sent' })
  deepStrictEqual(ledger.inFlightPackets, 2)
})

test('a packet that asked for no ack may be acked all the same', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 0)
  ledger.onUnackedPacketSent(1)
  deepStrictEqual(numbers(acked(ledger, [{ first: 0, last: 1 }], rttUs).newlyAcked), [0])
})

test('a packet number is used once', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 0)
  throws(() => ledger.onUnackedPacketSent(0), { name: 'AssertionFailure' })
})

test('a packet is lost when one sent three later has come', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 3)
  deepStrictEqual(numbers(acked(ledger, [{ first: 2, last: 2 }], rttUs).lost), [])
  deepStrictEqual(numbers(acked(ledger, [{ first: 2, last: 3 }], rttUs).lost), [0])
  deepStrictEqual(ledger.inFlightPackets, 1)
})

test('an overtaken packet is lost after 9/8 of the round-trip time', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 1)
  acked(ledger, [{ first: 1, last: 1 }], 101_000)
  deepStrictEqual(ledger.deadlineUs(), 112_500)
  deepStrictEqual(ledger.onDeadline(112_499), undefined)
  const outcome = ledger.onDeadline(112_500)
  ok(outcome?.type === 'lost')
  deepStrictEqual(numbers(outcome.packets), [0])
  deepStrictEqual([ledger.inFlightBytes, ledger.deadlineUs()], [0, undefined])
})

test('a loss that was none is reported and makes the ledger more patient', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 9)
  deepStrictEqual(numbers(acked(ledger, [{ first: 6, last: 6 }], rttUs).lost), [0, 1, 2, 3])
  const outcome = acked(ledger, [{ first: 0, last: 0 }], rttUs)
  deepStrictEqual([numbers(outcome.newlyAcked), numbers(outcome.spurious)], [[], [0]])
  // Packet 0 came when 6 had: from now on seven may overtake.
  send(ledger, 10, 20, 200_000)
  deepStrictEqual(numbers(acked(ledger, [{ first: 16, last: 16 }], 300_000).lost), [4, 5, 7, 8, 9])
  const overtaken = acked(ledger, [{ first: 17, last: 17 }], 300_000)
  deepStrictEqual(numbers(overtaken.lost), [10])
})

test('as many may overtake as have overtaken one that came, be they hundreds', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 300)
  acked(ledger, [{ first: 300, last: 300 }], rttUs)
  acked(ledger, [{ first: 0, last: 300 }], rttUs)
  send(ledger, 301, 700, 200_000)
  const far = acked(ledger, [{ first: 700, last: 700 }], 300_000)
  deepStrictEqual(numbers(far.lost).at(-1), 700 - 301)
})

/** Packet 0 is overtaken, taken for lost, and comes after `latenessUs`. */
function ledgerWithLateness(latenessUs: number): ReturnType<typeof steadyLedger> {
  const ledger = steadyLedger()
  send(ledger, 0, 0, 0)
  send(ledger, 1, 1, 0)
  acked(ledger, [{ first: 1, last: 1 }], rttUs)
  ledger.onDeadline(ledger.deadlineUs() ?? NaN)
  deepStrictEqual(numbers(acked(ledger, [{ first: 0, last: 1 }], latenessUs).spurious), [0])
  return ledger
}

/** How long an overtaken packet is waited for that is sent at `fromUs`. */
function patienceUs(ledger: ReturnType<typeof steadyLedger>, fromUs: number): number {
  send(ledger, 2, 3, fromUs)
  acked(ledger, [{ first: 3, last: 3 }], fromUs + rttUs)
  return (ledger.deadlineUs() ?? NaN) - fromUs
}

test('an overtaken packet is waited for 9/8 as long as the latest one has taken', () => {
  deepStrictEqual(patienceUs(ledgerWithLateness(160_000), 1_000_000), 180_000)
})

test('but no longer than for two probe timeouts', () => {
  const ledger = ledgerWithLateness(300_000)
  ok(Math.abs(patienceUs(ledger, 1_000_000) - (2 * 106_000 * 9) / 8) < 1_000)
})

test('late packets that were waited for prolong that, and ten seconds without one end it', () => {
  const ledger = ledgerWithLateness(160_000)
  send(ledger, 2, 3, 8_000_000)
  acked(ledger, [{ first: 3, last: 3 }], 8_100_000)
  acked(ledger, [{ first: 2, last: 3 }], 8_150_000)
  send(ledger, 4, 5, 17_000_000)
  acked(ledger, [{ first: 5, last: 5 }], 17_100_000)
  deepStrictEqual(ledger.deadlineUs(), 17_000_000 + (160_000 * 9) / 8)
  acked(ledger, [{ first: 4, last: 5 }], 17_101_000)
  send(ledger, 6, 7, 28_000_000)
  acked(ledger, [{ first: 7, last: 7 }], 28_100_000)
  ok((ledger.deadlineUs() ?? NaN) <= 28_000_000 + (rttUs * 9) / 8)
})

test('a lost packet is forgotten after four round trips and 50 ms', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 3)
  acked(ledger, [{ first: 1, last: 3 }], 103_000)
  const tooLateUs = 4 * rttUs + 60_000
  ledger.onPacketSent(4, 1_200, 'later', 'first', tooLateUs - rttUs)
  acked(ledger, [{ first: 4, last: 4 }], tooLateUs)
  deepStrictEqual(acked(ledger, [{ first: 0, last: 0 }], tooLateUs).spurious, [])
})

test('without an ack two probes are asked for, ever later, up to four seconds apart', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 0)
  const waits: number[] = []
  let nowUs = 0
  for (let i = 0; i < 12; i++) {
    const deadlineUs = ledger.deadlineUs() ?? NaN
    waits.push(Math.round((deadlineUs - nowUs) / 1_000))
    nowUs = deadlineUs
    deepStrictEqual(ledger.onDeadline(nowUs), { type: 'probe', count: 2 })
  }
  deepStrictEqual(waits, [106, 159, 239, 358, 537, 805, 1_207, 1_811, 2_717, 4_000, 4_000, 4_000])
  deepStrictEqual(ledger.silentPtos, 12)
})

test('probes restart the timer, and any ack ends the silence', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 0)
  const firstUs = ledger.deadlineUs() ?? NaN
  ledger.onDeadline(firstUs)
  send(ledger, 1, 2, firstUs, 'again')
  deepStrictEqual(ledger.deadlineUs(), firstUs + 1_000 + 1.5 * firstUs)
  acked(ledger, [{ first: 1, last: 1 }], firstUs + rttUs)
  deepStrictEqual(ledger.silentPtos, 0)
})

test('what goes for the first time is probed for as if nothing before it were silent', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 0)
  let nowUs = 0
  for (let silent = 1; silent <= 4; silent++) {
    nowUs = ledger.deadlineUs() ?? NaN
    ledger.onDeadline(nowUs)
  }
  send(ledger, 1, 1, nowUs, 'again')
  deepStrictEqual(Math.round((ledger.deadlineUs() ?? NaN) - nowUs), 106_000 * 1.5 ** 4)
  send(ledger, 2, 2, nowUs, 'first')
  deepStrictEqual(Math.round((ledger.deadlineUs() ?? NaN) - nowUs), 106_000)
  // The path is as silent as before.
  deepStrictEqual(ledger.silentPtos, 4)
})

test('a path slower than four seconds is not probed before its base timeout', () => {
  const rtt = new Rtt()
  rtt.onSample(3_000_000, 0)
  const ledger = new LossDetection<string>(rtt)
  send(ledger, 0, 0)
  deepStrictEqual(ledger.deadlineUs(), rtt.ptoBaseUs())
  ok(rtt.ptoBaseUs() > 4_000_000)
})

test('with nothing in flight there is no deadline', () => {
  const ledger = steadyLedger()
  deepStrictEqual([ledger.deadlineUs(), ledger.onDeadline(1e12)], [undefined, undefined])
})

test('a lost MTU probe is reported apart', () => {
  const ledger = steadyLedger()
  ledger.onPacketSent(0, 1_452, 'probe', 'size-probe', 0)
  send(ledger, 1, 4)
  const outcome = acked(ledger, [{ first: 1, last: 4 }], rttUs)
  deepStrictEqual([numbers(outcome.lost), numbers(outcome.lostMtuProbes)], [[], [0]])
  deepStrictEqual(ledger.inFlightBytes, 0)
})

test('the delivery rate of a steady flow is its rate', () => {
  const ledger = steadyLedger()
  let rate = 0
  for (let ms = 0; ms < 400; ms++) {
    if (ms >= 100) {
      const outcome = acked(ledger, [{ first: 0, last: ms - 100 }], ms * 1_000)
      rate = outcome.rateSample?.bytesPerSecond ?? 0
    }
    send(ledger, ms, ms, ms * 1_000)
  }
  ok(Math.abs(rate - 1_200_000) < 20_000)
})

test('samples of a sender that had nothing to send are marked', () => {
  const ledger = steadyLedger()
  send(ledger, 0, 0)
  ledger.onAppLimited()
  send(ledger, 1, 1, 500)
  const outcome = acked(ledger, [{ first: 0, last: 1 }], rttUs)
  deepStrictEqual(outcome.rateSample?.isAppLimited, true)
})

test('whatever a peer acks, nothing throws and the flight is the sum of what is unsettled', () => {
  const step = tuple(
    integer({ min: 0, max: 3 }),
    integer({ min: 0, max: 60 }),
    integer({ min: -5, max: 60 }),
  )
  always(
    property(array(step, { maxLength: 250 }), (steps) => {
      const ledger = steadyLedger()
      const inFlight = new Map<number, number>()
      let [nowUs, next] = [0, 0]
      for (const [kind, a, b] of steps) {
        nowUs += a * 700
        if (kind < 2) {
          inFlight.set(next, 100 + a)
          ledger.onPacketSent(next++, 100 + a, 'content', 'first', nowUs)
        } else if (kind === 2) {
          const last = next + 1 - a
          const ranges = [
            { first: last - b, last },
            { first: last - 3 * b, last: last - 2 * b },
          ]
          const outcome = ledger.onAckReceived(ranges, b * 100, nowUs)
          deepStrictEqual(
            outcome.type === 'never-sent',
            ranges.some((range) => range.last >= next),
          )
          if (outcome.type !== 'acked') continue
          for (const list of [outcome.newlyAcked, outcome.lost]) {
            for (const { packetNumber } of list) ok(inFlight.delete(packetNumber))
          }
          for (const { packetNumber } of outcome.spurious) ok(!inFlight.has(packetNumber))
        } else {
          const outcome = ledger.onDeadline(nowUs)
          if (outcome?.type === 'lost') {
            for (const { packetNumber } of outcome.packets) ok(inFlight.delete(packetNumber))
          }
        }
        const bytes = [...inFlight.values()].reduce((sum, size) => sum + size, 0)
        deepStrictEqual([ledger.inFlightBytes, ledger.inFlightPackets], [bytes, inFlight.size])
        deepStrictEqual(ledger.deadlineUs() === undefined, inFlight.size === 0)
      }
    }),
  )
})
