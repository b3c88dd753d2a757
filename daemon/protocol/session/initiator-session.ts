/**
 * The initiator's half of a session, from keys to close: opens a stream, sends what the store hands
 * over, and says what the peer has confirmed. Must never decide which stream to open or where the
 * peer lives: its lane does.
 */
import { assert, unreachable } from '../assert.ts'
import { Writer } from '../codec/buffer.ts'
import {
  type CloseFrame,
  encodeFrame,
  type Frame,
  framesPerPacketMax,
  type OpenedFrame,
  type OpenFrame,
  streamBytesThatFit,
} from '../codec/frame.ts'
import {
  askPauseMaxUs,
  datagramBytesEthernet,
  dataOverheadBytes,
  elicitingDatagramBytesMin,
  idleCloseUs,
  readAheadBytesMax,
  readAheadBytesMin,
  readAheadWindows,
  readBytesMax,
  renewAfterUs,
  unconfirmedRowsMax,
  wornFactor,
} from '../constants.ts'
import type { SessionKeys } from '../crypto/packet-protection.ts'
import type { Address } from '../io.ts'
import type { PacketKind } from '../recovery/loss-detection.ts'
import type { Rtt } from '../recovery/rtt.ts'
import { SendController } from '../recovery/send-controller.ts'
import type { OpenedFacts, SessionId, Traffic } from '../store-messages.ts'
import type { OffsetRange } from '../stream/range-set.ts'
import { SendStream } from '../stream/send-stream.ts'
import { earliest } from '../timer-queue.ts'

export class InitiatorSession {
  readonly id: SessionId
  readonly peer: Address
  readonly keys: SessionKeys
  readonly #transmission: SendController<Content>
  readonly #stream = new SendStream()
  // One for all packets: a buffer of its own for each would be garbage as fast as the link.
  readonly #writer = new Writer(datagramBytesEthernet)
  readonly #startedAtUs: number
  readonly #renewAfterPackets: number
  #phase: Phase = { type: 'fresh' }
  #credit = 0
  #confirmed = 0
  #lastSequence = 0
  #readIsOpen = false
  #hasProgressed = false
  readonly #askTimer = new AskTimer()
  #probesDue = 0
  #silentSinceUs: number
  #lastBusyUs: number

  constructor(options: InitiatorSessionOptions, nowUs: number) {
    this.id = options.id
    this.peer = options.peer
    this.keys = options.keys
    const { bytesPerSecondMax, rtt, firstBytes } = options
    this.#transmission = new SendController(bytesPerSecondMax, rtt, firstBytes)
    this.#startedAtUs = nowUs
    this.#renewAfterPackets = options.renewAfterPackets
    this.#silentSinceUs = nowUs
    this.#lastBusyUs = nowUs
  }

  get silentPtos(): number {
    return this.#transmission.silentPtos
  }

  /** Size of a full packet. */
  get datagramBytes(): number {
    return this.#transmission.datagramBytes
  }

  get traffic(): Traffic {
    return this.#transmission.traffic
  }

  /** Bytes of stream held in memory. */
  get heldBytes(): number {
    return this.#stream.heldBytes
  }

  /** The peer has stored something in this session: that it was opened proves nothing. */
  get hasProgressed(): boolean {
    return this.#hasProgressed || this.isQuiet
  }

  /** It got no answer to OPEN. */
  get isUnopened(): boolean {
    return this.#phase.type === 'opening'
  }

  /** This row was handed over, and is not confirmed. */
  isUnconfirmed(sequence: number): boolean {
    return sequence > this.#confirmed && sequence <= this.#lastSequence
  }

  /** All that there was is confirmed, and the store waits for rows. */
  get isQuiet(): boolean {
    return (
      this.#phase.type === 'streaming' &&
      this.#readIsOpen &&
      this.#stream.heldBytes === 0 &&
      this.#confirmed >= this.#lastSequence
    )
  }

  /** How long the peer has owed an answer. */
  silentUs(nowUs: number): number {
    return nowUs - this.#silentSinceUs
  }

  /** PROTOCOL §4.5: time for a new handshake next to this session. */
  needsRenewal(nowUs: number): boolean {
    return (
      this.keys.nextPacketNumber >= this.#renewAfterPackets ||
      nowUs >= this.#startedAtUs + renewAfterUs
    )
  }

  /** The renewal did not come: this session may not go on. */
  get needsRekey(): boolean {
    return this.keys.nextPacketNumber >= wornFactor * this.#renewAfterPackets
  }

  /** Nothing to send, nothing to wait for, for so long that the session is not worth its keys. */
  isIdle(nowUs: number): boolean {
    return this.isQuiet && nowUs >= this.#lastBusyUs + idleCloseUs
  }

  // ---- facts

  onFrames(frames: readonly Frame[], nowUs: number): OutboundFact[] {
    this.#silentSinceUs = nowUs
    const facts: OutboundFact[] = []
    for (const frame of frames) {
      const fact = this.#onFrame(frame, nowUs)
      if (fact !== undefined) facts.push(fact)
    }
    return facts
  }

  onStream(open: OpenFrame): void {
    if (this.#phase.type === 'fresh') this.#phase = { type: 'opening', frame: open, isDue: true }
  }

  /** The rules accept: rows may flow from the watermark of OPENED on. */
  onAccepted(nowUs: number): void {
    assert(this.#phase.type === 'judging', 'A stream is accepted once.')
    const { watermark } = this.#phase
    this.#phase = { type: 'streaming' }
    this.#confirmed = watermark
    this.#lastSequence = watermark
    this.#lastBusyUs = nowUs
  }

  onRows(bytes: Uint8Array, lastSequence: number, nowUs: number): void {
    this.#readIsOpen = false
    this.#stream.append(bytes)
    this.#lastSequence = Math.max(this.#lastSequence, lastSequence)
    this.#lastBusyUs = nowUs
  }

  onTooLong(datagramBytes: number, nowUs: number): void {
    this.#transmission.onTooLong(datagramBytes, nowUs)
  }

  /** Which timers are due. */
  onDeadline(nowUs: number): void {
    if (this.#askTimer.take(nowUs)) this.#ask()
    const outcome = this.#transmission.onDeadline(nowUs)
    if (outcome === undefined) return
    for (const content of outcome.lost) this.#onLost(content)
    if (outcome.probes === 0) return
    this.#probesDue = Math.max(this.#probesDue, outcome.probes)
    this.#repeatOldest(outcome.probes)
  }

  // ---- decisions

  /**
   * How many bytes the store should hand over now; undefined: none. The answer must be asked for.
   */
  takeRead(shareBytes: number): number | undefined {
    if (this.#phase.type !== 'streaming' || this.#readIsOpen) return undefined
    if (this.#lastSequence - this.#confirmed >= unconfirmedRowsMax) return undefined
    // What is unsent feeds the window; what is held besides waits behind losses, and costs memory
    // only.
    const ahead = readAheadWindows * this.#transmission.windowBytes()
    const target = Math.min(Math.max(ahead, readAheadBytesMin), shareBytes)
    const held = Math.min(readAheadBytesMax, shareBytes) - this.#stream.heldBytes
    const room = Math.min(target - this.#stream.unsentBytes, held)
    if (room < Math.min(target, readBytesMax) / 2) return undefined
    this.#readIsOpen = true
    return Math.min(room, readBytesMax)
  }

  /** The next datagram that may leave now. */
  nextDatagram(nowUs: number): Uint8Array | undefined {
    if (this.#probesDue > 0) {
      this.#probesDue--
      // The second probe carries the oldest content too: alone it would be a bare PING.
      if (!this.#hasMore()) this.#repeatOldest(1)
      return this.#buildPacket(this.#transmission.datagramBytes, nowUs)
    }
    if (!this.#transmission.maySend(nowUs)) return undefined
    if (this.#phase.type === 'opening' && this.#phase.isDue) {
      return this.#buildPacket(this.#transmission.datagramBytes, nowUs)
    }
    if (this.#phase.type !== 'streaming') return undefined
    if (this.#stream.hasNext(this.#credit)) {
      const size = this.#transmission.takeSizeProbe(nowUs)
      if (size !== undefined) return this.#buildSizeProbe(size, nowUs)
      return this.#buildPacket(this.#transmission.datagramBytes, nowUs)
    }
    this.#transmission.onAppLimited()
    return undefined
  }

  closeDatagram(frame: CloseFrame): Uint8Array {
    const writer = new Writer(256)
    encodeFrame(writer, frame)
    this.#transmission.onUnackedSent(this.keys.nextPacketNumber)
    return this.keys.seal(writer.written)
  }

  deadlineUs(nowUs: number): number | undefined {
    if (this.#probesDue > 0) return nowUs
    this.#armAsk(nowUs)
    return earliest(
      this.#transmission.deadlineUs(),
      this.#hasMore() ? this.#transmission.sendAtUs(nowUs) : undefined,
      this.#askTimer.deadlineUs,
      this.isQuiet ? this.#lastBusyUs + idleCloseUs : undefined,
      this.#startedAtUs + renewAfterUs > nowUs ? this.#startedAtUs + renewAfterUs : undefined,
    )
  }

  // ---- inside

  #onFrame(frame: Frame, nowUs: number): OutboundFact | undefined {
    switch (frame.type) {
      case 'ack':
        return this.#onAck(frame, nowUs)
      case 'credit':
        this.#onCredit(frame.offset)
        return undefined
      case 'confirm':
        return this.#onConfirm(frame.sequence, nowUs)
      case 'opened':
        return this.#onOpened(frame)
      case 'close':
        return { type: 'closed', frame }
      case 'ping':
      case 'stream':
      case 'open':
        assert(false, 'A frame that a responder may not send was not decoded.')
        return undefined
      default:
        return unreachable(frame)
    }
  }

  #onAck(frame: Extract<Frame, { type: 'ack' }>, nowUs: number): OutboundFact | undefined {
    const outcome = this.#transmission.onAck(frame.ranges, frame.delayUs, nowUs)
    if (outcome === undefined) return { type: 'broken', reason: 'an ack for a packet never sent' }
    for (const content of outcome.acked) {
      for (const piece of content.pieces) this.#stream.onAcked(piece)
    }
    for (const content of outcome.lost) this.#onLost(content)
    return { type: 'progress' }
  }

  /** §5.3: before its OPENED is accepted, a session has nothing to send. */
  #onCredit(offset: number): void {
    if (this.#phase.type !== 'streaming' || offset <= this.#credit) return
    this.#credit = offset
    this.#hasProgressed = true
    this.#askTimer.onProgress()
  }

  #onConfirm(sequence: number, nowUs: number): OutboundFact | undefined {
    if (this.#phase.type !== 'streaming' || sequence <= this.#confirmed) return undefined
    if (sequence > this.#lastSequence) {
      return { type: 'broken', reason: 'a confirm for a row never sent' }
    }
    this.#confirmed = sequence
    this.#hasProgressed = true
    this.#lastBusyUs = nowUs
    this.#askTimer.onProgress()
    return { type: 'confirmed', sequence }
  }

  #onOpened(frame: OpenedFrame): OutboundFact | undefined {
    if (this.#phase.type !== 'opening') return undefined
    this.#phase = { type: 'judging', watermark: frame.watermark }
    this.#credit = frame.credit
    this.#askTimer.onProgress()
    this.#transmission.onPeerDatagramMax(frame.datagramBytesMax)
    return { type: 'opened', opened: frame }
  }

  #onLost(content: Content): void {
    for (const piece of content.pieces) this.#stream.onLost(piece)
    if (content.open && this.#phase.type === 'opening') {
      this.#phase = { ...this.#phase, isDue: true }
    }
  }

  /** So many packets' worth: of small messages every one that waits, not the oldest alone. */
  #repeatOldest(packets: number): void {
    if (this.#phase.type === 'opening') this.#phase = { ...this.#phase, isDue: true }
    const room = this.#transmission.datagramBytes - dataOverheadBytes
    this.#stream.repeatOldest(packets * room)
  }

  #buildPacket(datagramBytes: number, nowUs: number): Uint8Array {
    const room = datagramBytes - dataOverheadBytes
    const writer = this.#writer
    writer.reset()
    const open = this.#phase.type === 'opening' && this.#phase.isDue
    if (this.#phase.type === 'opening' && open) {
      encodeFrame(writer, this.#phase.frame)
      this.#phase = { ...this.#phase, isDue: false }
    }
    const { unsentBytes } = this.#stream
    const pieces: OffsetRange[] = []
    while (this.#phase.type === 'streaming' && pieces.length < framesPerPacketMax) {
      const fits = streamBytesThatFit(this.#stream.nextStart, room - writer.length)
      const piece = this.#stream.next(fits, this.#credit)
      if (piece === undefined) break
      encodeFrame(writer, { type: 'stream', offset: piece.offset, bytes: piece.bytes })
      pieces.push({ start: piece.offset, end: piece.offset + piece.bytes.length })
    }
    if (writer.length === 0) encodeFrame(writer, { type: 'ping' })
    const kind = this.#stream.unsentBytes < unsentBytes ? 'first' : 'again'
    return this.#seal(writer, elicitingDatagramBytesMin, { open, pieces }, kind, nowUs)
  }

  #buildSizeProbe(datagramBytes: number, nowUs: number): Uint8Array {
    const writer = this.#writer
    writer.reset()
    encodeFrame(writer, { type: 'ping' })
    return this.#seal(writer, datagramBytes, { open: false, pieces: [] }, 'size-probe', nowUs)
  }

  #seal(
    writer: Writer,
    datagramBytesMin: number,
    content: Content,
    kind: PacketKind,
    nowUs: number,
  ): Uint8Array {
    const padding = datagramBytesMin - dataOverheadBytes - writer.length
    if (padding > 0) writer.zeros(padding)
    // Until now there was nothing to answer.
    if (this.#transmission.inFlightPackets === 0) this.#silentSinceUs = nowUs
    const packetNumber = this.keys.nextPacketNumber
    const datagram = this.keys.seal(writer.written)
    this.#transmission.onSent(packetNumber, datagram.length, content, kind, nowUs)
    return datagram
  }

  #hasMore(): boolean {
    if (this.#phase.type === 'opening') return this.#phase.isDue
    return this.#phase.type === 'streaming' && this.#stream.hasNext(this.#credit)
  }

  /**
   * Waits for OPENED, for a confirm or for credit with nothing in flight: then nobody but us can
   * break the silence (§5.3), for what the peer has sent may be lost.
   */
  #armAsk(nowUs: number): void {
    const waits =
      this.#phase.type === 'opening' ||
      (this.#phase.type === 'streaming' &&
        (this.#confirmed < this.#lastSequence || this.#stream.unsentBytes > 0))
    if (!waits || this.#transmission.inFlightPackets > 0 || this.#hasMore()) {
      this.#askTimer.stop()
    } else this.#askTimer.start(this.#transmission.ptoBaseUs(), nowUs)
  }

  /** An OPEN that was acked is answered again (§5.5). */
  #ask(): void {
    this.#probesDue = Math.max(this.#probesDue, 1)
    if (this.#phase.type === 'opening') this.#phase = { ...this.#phase, isDue: true }
  }
}

// What the initiator's half of a session is given, where it stands, and what it reports to its
// lane.

/** What a packet carried: what must go again when the packet is lost. */
export type Content = { readonly open: boolean; readonly pieces: readonly OffsetRange[] }

export type OutboundFact =
  | { readonly type: 'opened'; readonly opened: OpenedFacts }
  | { readonly type: 'confirmed'; readonly sequence: number }
  /** There may be room for more rows. */
  | { readonly type: 'progress' }
  | { readonly type: 'closed'; readonly frame: CloseFrame }
  | { readonly type: 'broken'; readonly reason: string }

export type Phase =
  /** The store looks up which stream to open. */
  | { readonly type: 'fresh' }
  /** OPEN is to be sent, or in flight. */
  | { readonly type: 'opening'; readonly frame: OpenFrame; readonly isDue: boolean }
  /** OPENED has come; the store applies its rules. */
  | { readonly type: 'judging'; readonly watermark: number }
  | { readonly type: 'streaming' }

type InitiatorSessionOptions = {
  readonly keys: SessionKeys
  readonly id: SessionId
  readonly peer: Address
  /** Of the path to `peer`, as far as it is known. */
  readonly rtt: Rtt
  /** Size of a full packet at first. */
  readonly firstBytes?: number
  /** 0: none. */
  readonly bytesPerSecondMax: number
  readonly renewAfterPackets: number
}

// When an initiator that waits with nothing in flight asks for news (PROTOCOL §5.3): soon at first,
// slower and slower while nothing changes. Must never run while something is in flight.

const growth = 1.5

class AskTimer {
  #asks = 0
  #atUs: number | undefined

  get deadlineUs(): number | undefined {
    return this.#atUs
  }

  /** Runs from now, unless it runs already. */
  start(firstPauseUs: number, nowUs: number): void {
    this.#atUs ??= nowUs + Math.min(firstPauseUs * growth ** this.#asks, askPauseMaxUs)
  }

  stop(): void {
    this.#atUs = undefined
  }

  /** True when it is time, once. */
  take(nowUs: number): boolean {
    if (this.#atUs === undefined || this.#atUs > nowUs) return false
    this.#atUs = undefined
    this.#asks++
    return true
  }

  /** There was news. */
  onProgress(): void {
    this.#asks = 0
    this.#atUs = undefined
  }
}
