/** What is asked of a link, what `tc` is given, and what it answers. */
import { deepEqual, equal, match, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { describeLink, difference, netemWords, parseReading } from './link.ts'

const asked = {
  lossPercent: 30,
  delayMs: 50,
  jitterMs: 20,
  reorderPercent: 25,
  duplicatePercent: 1,
  corruptPercent: 2,
  rateKbit: 10_000,
}

/** What a kernel 6.1 answered to `asked`. */
const answer = `[{"kind":"netem","handle":"8001:","root":true,"refcnt":2,"options":{"limit":1000,
  "delay":{"delay":0.05,"jitter":0.02,"correlation":0},
  "loss-random":{"loss":0.3,"correlation":0},
  "duplicate":{"duplicate":0.01,"correlation":0},"reorder":{"reorder":0.25,"correlation":0},
  "corrupt":{"corrupt":0.02,"correlation":0},
  "rate":{"rate":1250000,"packetoverhead":0,"cellsize":0,"celloverhead":0},"ecn":false,"gap":1},
  "bytes":9000,"packets":70,"drops":30,"overlimits":0,"requeues":0,"backlog":0,"qlen":0}]`

test('conditions become the words of tc', () => {
  equal(
    netemWords(asked).join(' '),
    'delay 50ms 20ms loss 30% duplicate 1% reorder 25% corrupt 2% rate 10000kbit',
  )
  deepEqual(netemWords({}), [])
  deepEqual(netemWords({ lossPercent: 0 }), [])
})

test('what the kernel answers is read back as what was asked', () => {
  const { conditions, packets, drops } = parseReading(answer)
  deepEqual(conditions, asked)
  deepEqual([packets, drops], [70, 30])
  equal(difference(asked, conditions), '')
})

test('a kernel that does something else is caught', () => {
  const clean = parseReading('[{"kind":"noqueue","packets":3,"drops":0,"options":{}}]')
  deepEqual(clean.conditions, {})
  match(difference({ lossPercent: 30 }, clean.conditions), /lossPercent is 0 and should be 30/)
  match(difference({}, { delayMs: 50 }), /delayMs is 50 and should be 0/)
  equal(difference({ lossPercent: 30 }, { lossPercent: 30.0001 }), '')
})

test('what tc would take for something else is rejected', () => {
  const code = { code: 'TINYMQ_INVALID_ARGUMENT' }
  throws(() => netemWords({ lossPercent: 101 }), code)
  throws(() => netemWords({ lossPercent: -1 }), code)
  throws(() => netemWords({ lossPercent: Number.NaN }), code)
  throws(() => netemWords({ jitterMs: 5 }), code)
  throws(() => netemWords({ reorderPercent: 5 }), code)
  const misspelt: object = { losPercent: 5 }
  throws(() => netemWords(misspelt), code)
})

test('a link is described in a few words', () => {
  equal(describeLink({}), 'clean')
  equal(
    describeLink({ lossPercent: 30, delayMs: 50, jitterMs: 20 }),
    'loss 30 %, delay 50 ms ± 20 ms',
  )
})
