/**
 * The core and the network in a few lines: one lane's session between two stores, without packets.
 * Every step can be the last one of the session. Must never be used outside tests.
 */
import { unreachable } from '../../../daemon/protocol/assert.ts'
import type {
  LaneAddress,
  OpenedFacts,
  SessionId,
  StoreResult,
} from '../../../daemon/protocol/store-messages.ts'
import type { StoreTask } from '../../../daemon/store/store.ts'
import type { Machine } from './machine.ts'

type State =
  | { readonly type: 'closed' }
  | { readonly type: 'asked' }
  | { readonly type: 'opening'; readonly stream: Uint8Array; readonly confirmed: number }
  | { readonly type: 'judging' }
  | { readonly type: 'streaming' }

let lastSession = 0

type LaneLinkOptions = {
  readonly from: Machine
  readonly to: Machine
  readonly lane: LaneAddress
  readonly addressIsOwn?: boolean
}

export class LaneLink {
  readonly #options: LaneLinkOptions
  #state: State = { type: 'closed' }
  /** One number for both ends, which have different names for it in life. */
  #session: SessionId = 0
  #onWire: Uint8Array[] = []
  #offset = 0
  #confirmed = 0
  #isReading = false
  /** Why the last session ended, if a store said so. */
  ended: StoreResult | undefined
  held: string | undefined

  constructor(options: LaneLinkOptions) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#state.type !== 'closed'
  }

  get from(): Machine {
    return this.#options.from
  }

  get to(): Machine {
    return this.#options.to
  }

  get lane(): LaneAddress {
    return this.#options.lane
  }

  /** Whether the store of this machine knows the session, as far as the core has heard. */
  isKnownTo(machine: Machine): boolean {
    const { type } = this.#state
    if (machine === this.#options.from) return type !== 'closed'
    return machine === this.#options.to && (type === 'judging' || type === 'streaming')
  }

  /** Takes what both stores have said, and asks for nothing more than that leads to. */
  hear(): void {
    if (this.#state.type === 'asked') this.#onAsked()
    else this.#listen()
  }

  /** Nothing is on its way, and the sender has no more rows. */
  get isIdle(): boolean {
    return this.#state.type === 'streaming' && this.#onWire.length === 0 && this.#isReading
  }

  /** One end has gone, or the network: the other learns of it sooner or later. */
  drop(): void {
    if (this.#state.type === 'closed') return
    this.#state = { type: 'closed' }
    this.#options.from.run({ type: 'release-session', session: this.#session })
    this.#options.to.run({ type: 'release-session', session: this.#session })
  }

  /** The process at one end has died with all it knew. */
  onCrash(): void {
    this.#state = { type: 'closed' }
  }

  /** What this link would ask of a store next: for a process that dies before it can answer. */
  nextTaskOf(machine: Machine): StoreTask | undefined {
    if (this.#state.type !== 'streaming') return undefined
    const session = this.#session
    if (machine === this.#options.from) return { type: 'read', session, bytesMax: 65_536 }
    const bytes = this.#onWire[0]
    if (machine !== this.#options.to || bytes === undefined) return undefined
    return { type: 'receive', session, offset: this.#offset, bytes, spillBytes: 65_536 }
  }

  /** Goes on by a little. `pieceBytes`: how much of the stream arrives at once. */
  step(pieceBytes: number, spillBytes: number): void {
    switch (this.#state.type) {
      case 'closed':
        return this.#open()
      case 'asked':
        return this.#onAsked()
      case 'opening':
        return this.#accept(this.#state.stream, this.#state.confirmed)
      case 'streaming':
        this.#stream(pieceBytes, spillBytes)
        return this.#listen()
      case 'judging':
        return this.#listen()
      default:
        return unreachable(this.#state)
    }
  }

  /** Works until nothing moves any more. @returns whether the lane is idle then. */
  settle(stepsMax = 400): boolean {
    for (let steps = 0; steps < stepsMax && this.held === undefined; steps++) {
      this.step(1_048_576, 131_072)
      if (this.isIdle) return true
    }
    return this.held !== undefined
  }

  #open(): void {
    const { from, lane } = this.#options
    lastSession++
    this.#session = lastSession
    this.#onWire = []
    this.#offset = 0
    this.#isReading = false
    this.#state = { type: 'asked' }
    from.run({ type: 'open-lane', lane: lane.lane, session: this.#session })
    this.#onAsked()
  }

  /** Nobody answers when the lane is gone. */
  #onAsked(): void {
    const { from } = this.#options
    const opened = from.take(this.#session)
    if (opened?.type === 'lane-opened') {
      this.#state = { type: 'opening', stream: opened.stream, confirmed: opened.confirmed }
    } else if (opened !== undefined || !from.isHolding) this.#end(opened)
  }

  #accept(stream: Uint8Array, confirmed: number): void {
    const { from, to, lane } = this.#options
    const session = this.#session
    to.run({
      type: 'accept',
      session,
      key: lane.key,
      databaseId: from.databaseId,
      stream,
      confirmed,
      mustBeKnown: false,
      host: 'sender',
      port: 9000,
    })
    this.#state = { type: 'judging' }
    this.#listen()
  }

  #checkIdentity(opened: OpenedFacts): void {
    const { from, lane, addressIsOwn = false } = this.#options
    this.#confirmed = opened.watermark
    const session = this.#session
    from.run({ type: 'check-identity', lane: lane.lane, session, opened, addressIsOwn })
  }

  #stream(pieceBytes: number, spillBytes: number): void {
    const { from, to } = this.#options
    const session = this.#session
    if (!this.#isReading && this.#onWire.length < 3) {
      this.#isReading = true
      from.run({ type: 'read', session, bytesMax: 65_536 })
    }
    const first = this.#onWire[0]
    if (first === undefined) return
    const bytes = Uint8Array.from(first.subarray(0, pieceBytes))
    if (first.length > pieceBytes) this.#onWire[0] = first.subarray(pieceBytes)
    else this.#onWire.shift()
    to.run({ type: 'receive', session, offset: this.#offset, bytes, spillBytes })
    this.#offset += bytes.length
  }

  #listen(): void {
    const { from, to } = this.#options
    for (const machine of [to, from]) {
      for (let said = machine.take(this.#session); said; said = machine.take(this.#session)) {
        this.#onResult(said)
        if (this.#state.type === 'closed') return
      }
    }
  }

  #onResult(result: StoreResult): void {
    const { from } = this.#options
    switch (result.type) {
      case 'accepted':
        return this.#checkIdentity(result)
      case 'identity-checked':
        return this.#onIdentityChecked(result.decision)
      case 'rows':
        this.#isReading = false
        this.#onWire.push(result.bytes)
        return
      case 'received': {
        if (result.sequence <= this.#confirmed) return
        this.#confirmed = result.sequence
        const { sequence } = result
        return from.run({ type: 'confirmed', session: this.#session, sequence })
      }
      case 'rejected':
        if (result.code === 4) from.run({ ...result, type: 'row-rejected' })
        return this.#end(result)
      case 'session-invalidated':
      case 'superseded':
      case 'lane-opened':
      case 'lanes':
      case 'drained':
      case 'retry-requested':
        return this.#end(result)
      default:
        return unreachable(result)
    }
  }

  #onIdentityChecked(
    decision: Extract<StoreResult, { type: 'identity-checked' }>['decision'],
  ): void {
    if (decision.type === 'go') this.#state = { type: 'streaming' }
    else {
      if (decision.type === 'pause') this.held = decision.code
      this.drop()
    }
  }

  #end(result: StoreResult | undefined): void {
    this.ended = result
    this.drop()
  }
}
