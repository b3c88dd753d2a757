import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { statusPauseUs } from './limits.ts'
import type { Output } from './node-io.ts'
import { StatusTeller } from './status-teller.ts'
import type { LaneStatus } from './store-port.ts'

const lane = { lane: 7, host: 'b', port: 9000, key: '' }
const trouble = { code: 'TINYMQ_NO_ANSWER', reason: 'no answer' }

class Told {
  readonly teller = new StatusTeller(lane)
  readonly #out: Output[] = []

  tell(status: LaneStatus, nowUs = 0): string[] {
    this.teller.tell(status, nowUs, this.#out)
    return this.#take()
  }

  trouble(reason: string, nowUs = 0): string[] {
    this.teller.tellTrouble({ ...trouble, reason }, 1_000, nowUs, this.#out)
    return this.#take()
  }

  /** Writes as the type of status, lines of the log as the reason. */
  #take(): string[] {
    return this.#out.splice(0).map((output) => {
      if (output.type === 'event' && output.event.type === 'lane-waits') return output.event.reason
      const isStatus = output.type === 'store' && output.work.type === 'lane-status'
      return isStatus && output.work.type === 'lane-status' ? output.work.status.type : '?'
    })
  }
}

test('a status is written when it is another one', () => {
  const told = new Told()
  deepStrictEqual(told.tell({ type: 'connecting' }), ['connecting'])
  deepStrictEqual(told.tell({ type: 'connecting' }), [])
  deepStrictEqual(told.tell({ type: 'open', rttUs: 5 }), ['open'])
  deepStrictEqual(told.tell({ type: 'open', rttUs: 9 }), [])
  deepStrictEqual(told.tell({ type: 'idle' }), ['idle'])
})

test('a wait is written again every five seconds, for the time of the next attempt', () => {
  const told = new Told()
  deepStrictEqual(told.trouble('why'), ['why', 'waiting'])
  deepStrictEqual(told.trouble('why', statusPauseUs - 1), [])
  deepStrictEqual(told.trouble('why', statusPauseUs), ['waiting'])
  deepStrictEqual(told.trouble('why', statusPauseUs + 1), [])
})

test('a reason is logged once, whatever was tried in between, and again after all was well', () => {
  const told = new Told()
  told.trouble('why')
  deepStrictEqual(told.tell({ type: 'connecting' }), ['connecting'])
  deepStrictEqual(told.trouble('why'), ['waiting'])
  deepStrictEqual(told.trouble('else'), ['else', 'waiting'])
  told.tell({ type: 'open', rttUs: 5 })
  deepStrictEqual(told.trouble('else'), ['else', 'waiting'])
})
