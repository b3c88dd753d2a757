/**
 * Looks into the parts of every core of this process while a simulation runs, from outside, so that
 * the core needs nothing that only a test would use: the sums that ledgers must keep, and the
 * bounds of `constants.ts` (P9). Must never change what it looks at, and leaves nothing behind.
 */
import { ResponderSessions } from '../../daemon/protocol/session/responder-sessions.ts'
import {
  creditWindowMax,
  inboundSessionsMax,
  readAheadBytesMax,
  readBytesMax,
} from '../../daemon/protocol/constants.ts'
import {
  LossDetection,
  type AckOutcome,
  type DeadlineOutcome,
} from '../../daemon/protocol/recovery/loss-detection.ts'
import { ReceiveStream } from '../../daemon/protocol/stream/receive-stream.ts'
import { SendStream } from '../../daemon/protocol/stream/send-stream.ts'
import { expect } from './violation.ts'

type Numbered = { readonly packetNumber: number }

/** What a ledger has recorded, and has not settled: a second account of the same. */
class Flight {
  readonly #bytes = new Map<number, number>()
  #sum = 0

  add(packetNumber: number, bytes: number): void {
    this.#bytes.set(packetNumber, bytes)
    this.#sum += bytes
  }

  settle(packets: readonly Numbered[]): void {
    for (const { packetNumber } of packets) {
      this.#sum -= this.#bytes.get(packetNumber) ?? 0
      this.#bytes.delete(packetNumber)
    }
  }

  checkIdentity({ inFlightBytes, inFlightPackets }: LossDetection<unknown>): void {
    expect(
      this.#sum === inFlightBytes && this.#bytes.size === inFlightPackets,
      'in flight',
      () =>
        `${inFlightPackets} packets of ${inFlightBytes} bytes are counted in flight, ` +
        `${this.#bytes.size} of ${this.#sum} are.`,
    )
  }
}

/** Until it is disposed of. */
export function watchCores(): Disposable {
  const undo = new DisposableStack()
  watchFlights(undo)
  after(undo, ReceiveStream.prototype, 'onPiece', ({ heldBytes }) => {
    most('bytes that wait for others before them', heldBytes, creditWindowMax)
  })
  after(undo, SendStream.prototype, 'next', ({ heldBytes }) => {
    most('bytes read ahead', heldBytes, readAheadBytesMax + readBytesMax)
  })
  after(undo, ResponderSessions.prototype, 'onData', ({ size }) => {
    most('inbound sessions', size, inboundSessionsMax)
  })
  return undo
}

/** Keeps an account next to each ledger, and holds the ledger's sums against it. */
function watchFlights(undo: DisposableStack): void {
  const flights = new WeakMap<LossDetection<unknown>, Flight>()
  const flightOf = (ledger: LossDetection<unknown>): Flight => {
    const flight = flights.get(ledger) ?? new Flight()
    flights.set(ledger, flight)
    return flight
  }
  const { prototype } = LossDetection
  after(undo, prototype, 'onPacketSent', (ledger, [packetNumber, bytes]) => {
    const flight = flightOf(ledger)
    flight.add(Number(packetNumber), Number(bytes))
    flight.checkIdentity(ledger)
  })
  after(undo, prototype, 'onAckReceived', (ledger, _, result) => {
    const outcome = result as AckOutcome<unknown>
    if (outcome.type === 'never-sent') return
    const flight = flightOf(ledger)
    flight.settle([...outcome.newlyAcked, ...outcome.lost, ...outcome.lostMtuProbes])
    flight.checkIdentity(ledger)
  })
  after(undo, prototype, 'onDeadline', (ledger, _, result) => {
    const outcome = result as DeadlineOutcome<unknown> | undefined
    const flight = flightOf(ledger)
    if (outcome?.type === 'lost') flight.settle([...outcome.packets, ...outcome.mtuProbes])
    flight.checkIdentity(ledger)
  })
}

function most(what: string, value: number, bound: number): void {
  expect(value <= bound, 'bounds', () => `There are ${value} ${what}, of at most ${bound}.`)
}

/** Has `look` called with each instance after its `method` has been. */
function after<Part extends object>(
  undo: DisposableStack,
  prototype: Part,
  method: keyof Part & string,
  look: (part: Part, values: readonly unknown[], result: unknown) => void,
): void {
  const original: unknown = Reflect.get(prototype, method)
  expect(typeof original === 'function', 'probe', () => `There is no ${method} to look at.`)
  const watched = function (this: Part, ...values: unknown[]): unknown {
    const result: unknown = Reflect.apply(original, this, values)
    look(this, values, result)
    return result
  }
  Reflect.set(prototype, method, watched)
  undo.defer(() => void Reflect.set(prototype, method, original))
}
