/**
 * Looks into the parts of every core of this process while a simulation runs, from outside, so that
 * the core needs nothing that only a test would use: the sums that ledgers must keep, and the
 * bounds of `limits.ts` (P9). Must never change what it looks at, and leaves nothing behind.
 */
import { InboundSessions } from '../protocol/inbound-sessions.ts'
import {
  creditWindowMax,
  inboundSessionsMax,
  readAheadBytesMax,
  readBytesMax,
} from '../protocol/limits.ts'
import { LossDetection } from '../protocol/loss-detection.ts'
import { ReceiveStream } from '../protocol/receive-stream.ts'
import { SendStream } from '../protocol/send-stream.ts'
import { expect } from './violation.ts'

/** To add up all that is in flight costs more than to send it. */
const callsPerSum = 16

/** Until it is disposed of. */
export function watchCores(): Disposable {
  const undo = new DisposableStack()
  let calls = 0
  after(undo, LossDetection.prototype, 'onPacketSent', (ledger) => {
    if (++calls % callsPerSum === 0) judgeFlight(ledger)
  })
  after(undo, LossDetection.prototype, 'onAckReceived', (ledger) => {
    if (++calls % callsPerSum === 0) judgeFlight(ledger)
  })
  after(undo, LossDetection.prototype, 'onDeadline', judgeFlight)
  after(undo, ReceiveStream.prototype, 'onPiece', ({ heldBytes }) => {
    most('bytes that wait for others before them', heldBytes, creditWindowMax)
  })
  after(undo, SendStream.prototype, 'next', ({ heldBytes }) => {
    most('bytes read ahead', heldBytes, readAheadBytesMax + readBytesMax)
  })
  after(undo, InboundSessions.prototype, 'onData', ({ size }) => {
    most('inbound sessions', size, inboundSessionsMax)
  })
  return undo
}

function judgeFlight(ledger: LossDetection<unknown>): void {
  const { inFlightBytes, inFlightPackets } = ledger
  const packets = ledger.oldestInFlight(Infinity)
  const bytes = packets.reduce((sum, packet) => sum + packet.bytes, 0)
  expect(
    bytes === inFlightBytes && packets.length === inFlightPackets,
    'in flight',
    () =>
      `${inFlightPackets} packets of ${inFlightBytes} bytes are counted in flight, ` +
      `${packets.length} of ${bytes} are.`,
  )
}

function most(what: string, value: number, bound: number): void {
  expect(value <= bound, 'bounds', () => `There are ${value} ${what}, of at most ${bound}.`)
}

/** Has `look` called with each instance after its `method` has been. */
function after<Part extends object>(
  undo: DisposableStack,
  prototype: Part,
  method: keyof Part & string,
  look: (part: Part) => void,
): void {
  const original: unknown = Reflect.get(prototype, method)
  expect(typeof original === 'function', 'probe', () => `There is no ${method} to look at.`)
  const watched = function (this: Part, ...values: unknown[]): unknown {
    const result: unknown = Reflect.apply(original, this, values)
    look(this)
    return result
  }
  Reflect.set(prototype, method, watched)
  undo.defer(() => void Reflect.set(prototype, method, original))
}
