import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { statusPauseUs, trafficPauseUs } from '../constants.ts'
import type { Output } from '../io.ts'
import { LaneStatusReporter } from './lane.ts'
import type { LaneStatus } from '../store-messages.ts'

const lane = { lane: 7, host: 'b', port: 9000, key: '' }
const trouble = { code: 'TINYMQ_NO_ANSWER', reason: 'no answer' }

class Reported {
  readonly reporter = new LaneStatusReporter(lane)
  readonly #out: Output[] = []

  tell(status: LaneStatus, nowUs = 0): string[] {
    this.reporter.tell(status, nowUs, this.#out)
    return this.#take()
  }

  trouble(reason: string, nowUs = 0): string[] {
    this.reporter.tellTrouble({ ...trouble, reason }, 1_000, nowUs, this.#out)
    return this.#take()
  }

  open(nowUs: number): string[] {
    const session = { peer: { ip: '10.0.0.2', port: 9000 }, traffic: { rttUs: 5 } }
    this.reporter.tellOpen(session as never, nowUs, this.#out)
    return this.#take()
  }

  traffic(id: number, packets: number, isResting: boolean, nowUs: number): string[] {
    const session = { id, traffic: { rttUs: 1, packets, lost: packets / 10 } }
    this.reporter.tellTraffic(session, isResting, nowUs, this.#out)
    return this.#take()
  }

  /** Writes as the type of status, lines of the log as the reason. */
  #take(): string[] {
    return this.#out.splice(0).map((output) => {
      if (output.type === 'store' && output.work.type === 'lane-traffic') {
        return `${output.work.traffic.packets} packets, ${output.work.traffic.lost} lost`
      }
      if (output.type === 'event' && output.event.type === 'lane-waits') return output.event.reason
      const isStatus = output.type === 'store' && output.work.type === 'lane-status'
      return isStatus && output.work.type === 'lane-status' ? output.work.status.type : '?'
    })
  }
}

test('a status is written when it is another one', () => {
  const reported = new Reported()
  deepStrictEqual(reported.tell({ type: 'connecting' }), ['connecting'])
  deepStrictEqual(reported.tell({ type: 'connecting' }), [])
  deepStrictEqual(reported.tell({ type: 'open', rttUs: 5 }), ['open'])
  deepStrictEqual(reported.tell({ type: 'open', rttUs: 9 }), [])
  deepStrictEqual(reported.tell({ type: 'idle' }), ['idle'])
})

test('a wait is written again every five seconds, for the time of the next attempt', () => {
  const reported = new Reported()
  deepStrictEqual(reported.trouble('why'), ['why', 'waiting'])
  deepStrictEqual(reported.trouble('why', statusPauseUs - 1), [])
  deepStrictEqual(reported.trouble('why', statusPauseUs), ['waiting'])
  deepStrictEqual(reported.trouble('why', statusPauseUs + 1), [])
})

test('a reason is logged once, whatever was tried in between, and again after all was well', () => {
  const reported = new Reported()
  reported.trouble('why')
  deepStrictEqual(reported.tell({ type: 'connecting' }), ['connecting'])
  deepStrictEqual(reported.trouble('why'), ['waiting'])
  deepStrictEqual(reported.trouble('else'), ['else', 'waiting'])
  reported.tell({ type: 'open', rttUs: 5 }, 1)
  deepStrictEqual(reported.trouble('else', 60_000_001), ['else', 'waiting'])
  reported.tell({ type: 'idle' })
  deepStrictEqual(reported.trouble('else', 60_000_002), ['else', 'waiting'])
})

test('sessions that open and soon end for the same reason are two lines a minute', () => {
  const reported = new Reported()
  deepStrictEqual(reported.open(0), ['?', 'open'])
  deepStrictEqual(reported.trouble('full', 1), ['full', 'waiting'])
  for (let second = 2; second < 60; second += 2) {
    deepStrictEqual(reported.open(second * 1_000_000), ['open'])
    deepStrictEqual(reported.trouble('full', second * 1_000_000 + 1), ['waiting'])
  }
  deepStrictEqual(reported.open(60_000_000), ['?', 'open'])
  deepStrictEqual(reported.trouble('full', 120_000_000), ['full', 'waiting'])
})

test('traffic is reported as what came on top, once a second while rows flow and at rest', () => {
  const reported = new Reported()
  deepStrictEqual(reported.traffic(1, 20, false, 0), ['20 packets, 2 lost'])
  deepStrictEqual(reported.traffic(1, 30, false, trafficPauseUs - 1), [])
  deepStrictEqual(reported.traffic(1, 40, false, trafficPauseUs), ['20 packets, 2 lost'])
  deepStrictEqual(reported.traffic(1, 50, true, trafficPauseUs + 1), ['10 packets, 1 lost'])
  deepStrictEqual(reported.traffic(1, 50, true, trafficPauseUs + 2), [])
  // Another session counts from the beginning.
  deepStrictEqual(reported.traffic(2, 10, true, trafficPauseUs + 3), ['10 packets, 1 lost'])
})
