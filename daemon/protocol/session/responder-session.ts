/**
 * The responder's half of a session: puts the stream together, acks, and passes on what the store
 * has made durable. Every packet that it sends is an answer, and no longer than what it answers; it
 * has no retransmission timer, because the initiator asks until it knows (PROTOCOL §5.3). Must
 * never decide what a row means.
 */
import { AckRanges, AckSchedule } from '../recovery/ack-tracker.ts'
import { type Address, type Output, isSameAddress } from '../io.ts'
import { assert, unreachable } from '../assert.ts'
import { Credit, ReceiveStream } from '../stream/receive-stream.ts'
import {
  asksForAck,
  type CloseFrame,
  encodeAck,
  encodeFrame,
  type Frame,
  type OpenedFrame,
  type OpenFrame,
} from '../codec/frame.ts'
import {
  ackRangesPerFrame,
  allowanceBytesMax,
  answerBytesMax,
  answersPerByteMax,
  dataOverheadBytes,
  elicitingDatagramBytesMin,
  silentForgetUs,
  unopenedForgetUs,
} from '../constants.ts'
import type { KeyId } from '../codec/packet.ts'
import type { SessionKeys } from '../crypto/packet-protection.ts'
import { replayWindowPackets } from '../recovery/constants.ts'
import type { SessionId } from '../store-messages.ts'
import { equalBytes, Writer } from '../codec/buffer.ts'

export type InboundFact =
  | { readonly type: 'open'; readonly frame: OpenFrame }
  | { readonly type: 'closed'; readonly frame: CloseFrame }
  | { readonly type: 'broken'; readonly reason: string }

type Phase =
  | { readonly type: 'fresh' }
  /** The store looks up the stream of this OPEN. */
  | { readonly type: 'accepting'; readonly open: OpenFrame }
  | { readonly type: 'open'; readonly open: OpenFrame; readonly opened: OpenedFrame }
  | { readonly type: 'ended' }

type ResponderSessionOptions = {
  readonly id: SessionId
  readonly peer: Address
  readonly keys: SessionKeys
  /** Name of the key, '' without one. */
  readonly key: string
  readonly keyId: KeyId | undefined
  readonly creditShareBytes: number
}

export class ResponderSession {
  readonly id: SessionId
  readonly key: string
  readonly keyId: KeyId | undefined
  readonly #keys: SessionKeys
  readonly #acks = new AckRanges()
  readonly #schedule = new AckSchedule()
  #stream = new ReceiveStream()
  readonly #credit: Credit
  #phase: Phase = { type: 'fresh' }
  #peer: Address
  #largest = -1
  readonly #sinceUs: number
  #lastHeardUs: number
  #lastReceivedBytes = 0
  /** Bytes that may still go to the peer's address, by what has come from there. */
  #allowance = 0
  #openedIsDue = false
  #newsIsDue = false
  #sequence = 0

  constructor(options: ResponderSessionOptions, nowUs: number) {
    this.id = options.id
    this.key = options.key
    this.keyId = options.keyId
    this.#peer = options.peer
    this.#keys = options.keys
    this.#credit = new Credit(options.creditShareBytes, nowUs)
    this.#sinceUs = nowUs
    this.#lastHeardUs = nowUs
  }

  /** Where answers go now. */
  get peer(): Address {
    return this.#peer
  }

  get keys(): SessionKeys {
    return this.#keys
  }

  get hasRows(): boolean {
    return this.#stream.hasReady
  }

  get lastHeardUs(): number {
    return this.#lastHeardUs
  }

  /** It has never sent OPEN. */
  get isFresh(): boolean {
    return this.#phase.type === 'fresh'
  }

  /** What of the stream it makes this node hold, because something before it is missing. */
  get chargedBytes(): number {
    return this.#stream.chargedBytes
  }

  isForgotten(nowUs: number): boolean {
    return nowUs >= this.#forgetUs
  }

  // ---- facts

  /** A packet that has opened has come, whatever is in it. */
  onHeard(from: Address, datagramBytes: number): void {
    if (!isSameAddress(from, this.#peer)) return
    const allowance = this.#allowance + answersPerByteMax * datagramBytes
    this.#allowance = Math.min(allowance, allowanceBytesMax)
  }

  onPacket(
    packetNumber: number,
    frames: readonly Frame[],
    datagramBytes: number,
    from: Address,
    nowUs: number,
  ): InboundFact[] {
    const facts: InboundFact[] = []
    this.onHeard(from, datagramBytes)
    // PROTOCOL §5.8: shorter, it could be answered with more than it brought.
    const wantsAck = asksForAck(frames)
    if (wantsAck && datagramBytes < elicitingDatagramBytesMin) {
      return [{ type: 'broken', reason: 'a short packet that asks for an ack' }]
    }
    // Checked before anything is acked: a packet that cannot be kept counts as lost.
    for (const frame of frames) {
      if (frame.type !== 'stream') continue
      const broken = this.#onStream(frame.offset, frame.bytes)
      if (broken === 'buffer-full') return facts
      if (broken !== undefined) return [{ type: 'broken', reason: broken }]
    }
    this.#lastHeardUs = nowUs
    this.#lastReceivedBytes = datagramBytes
    if (packetNumber > this.#largest) {
      // A replayed or late packet never moves the address that answers go to.
      this.#largest = packetNumber
      this.#moveTo(from, datagramBytes)
    }
    for (const frame of frames) {
      const fact = this.#onFrame(frame)
      if (fact !== undefined) facts.push(fact)
    }
    if (wantsAck && this.#acks.insert(packetNumber)) {
      // A gap that no packet can fill any more (PROTOCOL §3.8) is none.
      this.#acks.forgetBelow(this.#acks.largest - replayWindowPackets)
      this.#schedule.onPacket(packetNumber, datagramBytes, this.#acks.hasGaps, nowUs)
    }
    return facts
  }

  /** What the store knows of the stream; the credit is added here. */
  onAccepted(facts: Omit<OpenedFrame, 'type' | 'credit'>): void {
    if (this.#phase.type !== 'accepting') return
    const { open } = this.#phase
    this.#sequence = facts.watermark
    const opened = { type: 'opened', credit: this.#credit.offset, ...facts } as const
    this.#phase = { type: 'open', open, opened }
    this.#openedIsDue = true
  }

  onDurable(sequence: number, durable: number, shareBytes: number, nowUs: number): void {
    if (sequence > this.#sequence) {
      this.#sequence = sequence
      this.#newsIsDue = true
    }
    const before = this.#credit.offset
    this.#credit.onDurable(durable, shareBytes, nowUs)
    if (this.#credit.offset > before) this.#newsIsDue = true
  }

  onEnded(): void {
    this.#phase = { type: 'ended' }
    this.#stream = new ReceiveStream()
  }

  // ---- decisions

  /** Stream bytes for the store. */
  takeRows(): { readonly offset: number; readonly bytes: Uint8Array; readonly spillBytes: number } {
    return { ...this.#stream.takeReady(), spillBytes: this.#credit.spillBytes }
  }

  nextDatagram(nowUs: number): Uint8Array | undefined {
    if (this.#phase.type === 'ended' || !this.#mayAnswer) return undefined
    if (!this.#openedIsDue && !this.#newsIsDue && !this.#schedule.isDue(nowUs)) return undefined
    const bytesMax = Math.max(this.#lastReceivedBytes, elicitingDatagramBytesMin)
    const room = Math.min(bytesMax, this.#allowance) - dataOverheadBytes
    const writer = new Writer(room)
    if (this.#openedIsDue && this.#phase.type === 'open') encodeFrame(writer, this.#phase.opened)
    this.#openedIsDue = false
    if (this.#phase.type === 'open') {
      encodeFrame(writer, { type: 'credit', offset: this.#credit.offset })
      encodeFrame(writer, { type: 'confirm', sequence: this.#sequence })
    }
    this.#newsIsDue = false
    this.#writeAck(writer, room - writer.length, nowUs)
    this.#allowance -= dataOverheadBytes + writer.length
    return this.#keys.seal(writer.written)
  }

  /** Nothing, when so much may not go to where the peer is. */
  close(frame: CloseFrame): Output[] {
    const writer = new Writer(256)
    encodeFrame(writer, frame)
    this.#allowance -= dataOverheadBytes + writer.length
    if (this.#allowance < 0) return []
    return [{ type: 'send', to: this.#peer, bytes: this.#keys.seal(writer.written) }]
  }

  deadlineUs(nowUs: number): number | undefined {
    if (this.#phase.type === 'ended') return undefined
    const isDue = this.#mayAnswer && (this.#openedIsDue || this.#newsIsDue)
    if (isDue || this.#stream.hasReady) return nowUs
    const ackUs = this.#mayAnswer ? this.#schedule.deadlineUs() : undefined
    return ackUs === undefined ? this.#forgetUs : Math.min(ackUs, this.#forgetUs)
  }

  // ---- inside

  get #forgetUs(): number {
    if (this.isFresh) return this.#sinceUs + unopenedForgetUs
    return this.#lastHeardUs + silentForgetUs
  }

  get #mayAnswer(): boolean {
    return this.#allowance >= answerBytesMax
  }

  /** PROTOCOL §5.8: whoever is there now has asked for nothing but with this packet. */
  #moveTo(from: Address, datagramBytes: number): void {
    if (isSameAddress(from, this.#peer)) return
    this.#peer = from
    this.#allowance = answersPerByteMax * datagramBytes
  }

  #writeAck(writer: Writer, bytesMax: number, nowUs: number): void {
    this.#schedule.onAckSent()
    const largest = this.#acks.largest
    if (largest < 0) return
    const ranges = this.#acks.newestFirst(ackRangesPerFrame)
    const delayUs = this.#schedule.delayUs(nowUs)
    encodeAck(writer, { type: 'ack', largest, delayUs, ranges }, bytesMax)
  }

  /** A sentence when a rule was broken; 'buffer-full' when there is no room. */
  #onStream(offset: number, bytes: Uint8Array): string | undefined {
    if (this.#phase.type !== 'open') return 'rows before the stream was opened'
    const { offset: credit, outstanding } = this.#credit
    const received = this.#stream.onPiece(offset, bytes, credit, outstanding)
    if (received === 'beyond-credit') return 'rows beyond the credit'
    return received === 'buffer-full' ? 'buffer-full' : undefined
  }

  #onFrame(frame: Frame): InboundFact | undefined {
    switch (frame.type) {
      case 'ping':
      case 'stream':
        return undefined
      case 'open':
        return this.#onOpen(frame)
      case 'close':
        return { type: 'closed', frame }
      case 'ack':
      case 'credit':
      case 'confirm':
      case 'opened':
        assert(false, 'A frame that an initiator may not send was not decoded.')
        return undefined
      default:
        return unreachable(frame)
    }
  }

  /** PROTOCOL §5.5: one session, one stream; the same OPEN is answered again. */
  #onOpen(open: OpenFrame): InboundFact | undefined {
    const phase = this.#phase
    switch (phase.type) {
      case 'ended':
        return undefined
      case 'fresh':
        this.#phase = { type: 'accepting', open }
        return { type: 'open', frame: open }
      case 'accepting':
      case 'open':
        if (!isSameOpen(open, phase.open)) {
          return { type: 'broken', reason: 'a second OPEN that differs from the first' }
        }
        this.#openedIsDue = phase.type === 'open'
        return undefined
      default:
        return unreachable(phase)
    }
  }
}

function isSameOpen(one: OpenFrame, other: OpenFrame): boolean {
  return (
    equalBytes(one.stream, other.stream) &&
    equalBytes(one.databaseId, other.databaseId) &&
    one.confirmed === other.confirmed &&
    one.host === other.host &&
    one.port === other.port
  )
}
