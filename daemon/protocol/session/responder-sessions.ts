/**
 * All inbound sessions of a node: from the first packet that proves a half-open one to its close.
 * Shares the memory for what is held among them. Must never answer a packet that has not opened.
 */
import type { HalfOpen, HandshakeResponder } from './handshake-responder.ts'
import { creditShare } from '../stream/receive-stream.ts'
import {
  closeCode,
  type CloseCode,
  type CloseFrame,
  decodeFrames,
  type Frame,
  type OpenFrame,
  reasonBytesMax,
} from '../codec/frame.ts'
import { ResponderSession, type InboundFact } from './responder-session.ts'
import { brokenPauseUs, busyPauseMs, heldBytesAll, inboundSessionsMax } from '../constants.ts'
import type { Address, Output } from '../io.ts'
import type { ConnectionId, DataPacket } from '../codec/packet.ts'
import { ownerOf, Shares } from '../shares.ts'
import type { SessionId, StoreResult } from '../store-messages.ts'
import { clampText } from '../codec/buffer.ts'

type Rejected = Extract<StoreResult, { type: 'rejected' }>
type Accepted = Extract<StoreResult, { type: 'accepted' }>
type Received = Extract<StoreResult, { type: 'received' }>

type Entry = {
  readonly session: ResponderSession
  readonly cid: ConnectionId
  readonly owner: string
  readonly mustBeKnown: boolean
  chargedBytes: number
}

type ResponderSessionsOptions = {
  readonly handshakeResponder: HandshakeResponder
  readonly datagramBytesMax: number
}

export class ResponderSessions {
  readonly #options: ResponderSessionsOptions
  readonly #byCid = new Map<ConnectionId, ResponderSession>()
  /** The ids that the peers have chosen. */
  readonly #peerCids = new Set<ConnectionId>()
  readonly #byId = new Map<SessionId, Entry>()
  /** Whoever has most gives way when there are too many. */
  readonly #shares = new Shares<Entry>()
  /** Charged for all that waits out of order. */
  #chargedBytes = 0
  #begun = 0
  readonly #ended: ResponderSession[] = []

  constructor(options: ResponderSessionsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#byId.size
  }

  /** `bytes`: what waits out of order, with what it costs besides its bytes. */
  get held(): { readonly sessions: number; readonly bytes: number } {
    return { sessions: this.size, bytes: this.#chargedBytes }
  }

  /** How many sessions there have been. */
  get begun(): number {
    return this.#begun
  }

  /** Sessions that have ended since the last call: nobody needs to look after them. */
  takeEnded(): readonly ResponderSession[] {
    return this.#ended.splice(0)
  }

  /** Whether a peer at this address has a session here. */
  isHeard({ ip, port }: Address): boolean {
    for (const { session } of this.#byId.values()) {
      if (session.peer.ip === ip && session.peer.port === port) return true
    }
    return false
  }

  /** A packet to this id is one of our own. */
  sendsTo(peerCid: ConnectionId): boolean {
    return this.#peerCids.has(peerCid)
  }

  has(session: SessionId): boolean {
    return this.#byId.has(session)
  }

  /**
   * The session that the packet belonged to and that needs attention; undefined: no session here
   * has this connection id.
   */
  onData(
    packet: DataPacket,
    from: Address,
    nowUs: number,
    out: Output[],
  ): ResponderSession | 'unauthenticated' | undefined {
    const known = this.#byCid.get(packet.dcid)
    const halfOpen =
      known === undefined ? this.#options.handshakeResponder.find(packet.dcid) : undefined
    const keys = known?.keys ?? halfOpen?.keys
    if (keys === undefined) return undefined
    const plain = keys.open(packet)
    if (plain === undefined) return 'unauthenticated'
    const session = known ?? this.#promote(packet, halfOpen, from, nowUs, out)
    if (session === undefined) return 'unauthenticated'
    const frames = decodeFrames(plain, 'initiator')
    if (frames === undefined) {
      session.onHeard(from, packet.datagram.length)
      this.#break(session, 'frames that cannot be read', out)
      return session
    }
    this.#onFrames(session, packet, frames, from, nowUs, out)
    return session
  }

  onAccepted(result: Accepted): ResponderSession | undefined {
    const session = this.#byId.get(result.session)?.session
    const { database, watermark, digest, part, logStart, messageBytesMax } = result
    const { datagramBytesMax } = this.#options
    const facts = { database, watermark, digest, part, logStart, messageBytesMax, datagramBytesMax }
    session?.onAccepted(facts)
    return session
  }

  onReceived(result: Received, nowUs: number): ResponderSession | undefined {
    const session = this.#byId.get(result.session)?.session
    session?.onDurable(result.sequence, result.durable, creditShare(this.size), nowUs)
    return session
  }

  onRejected(result: Rejected, out: Output[]): ResponderSession | undefined {
    const { code, sequence, retryAfterMs } = result
    const reason = clampText(result.reason, reasonBytesMax)
    return this.#close(result.session, { type: 'close', code, sequence, retryAfterMs, reason }, out)
  }

  onSuperseded(id: SessionId, out: Output[]): ResponderSession | undefined {
    return this.#close(id, closeFrame(closeCode.superseded, ''), out)
  }

  /** Hands rows to the store, or forgets a session that is silent. */
  onDeadline(session: ResponderSession, nowUs: number, out: Output[]): void {
    if (session.isForgotten(nowUs) || session.keys.needsRekey) {
      const quiet = session.isFresh ? 'no OPEN' : 'silent'
      const reason = session.keys.needsRekey ? 'worn' : quiet
      this.#close(session.id, closeFrame(closeCode.done, reason), out)
      return
    }
    if (!session.hasRows) return
    out.push({
      type: 'store',
      work: { type: 'receive', session: session.id, ...session.takeRows() },
    })
  }

  /** The key ring is another one: sessions that it would not take any more are closed. */
  onRing(out: Output[]): void {
    for (const { session } of Array.from(this.#byId.values())) {
      const { keyId, key, peer } = session
      if (this.#options.handshakeResponder.takes(keyId, key, peer)) continue
      this.#close(session.id, closeFrame(closeCode.done, 'key retired'), out)
    }
  }

  /** PROTOCOL §4.5: nothing is sealed any more, not even a CLOSE. */
  onClockJump(out: Output[]): void {
    for (const id of Array.from(this.#byId.keys())) this.#forget(id, out)
  }

  /** The node stops. */
  stop(out: Output[]): void {
    for (const id of this.#byId.keys()) this.#close(id, closeFrame(closeCode.stopping, ''), out)
  }

  #promote(
    { dcid: cid, datagram }: DataPacket,
    halfOpen: HalfOpen | undefined,
    peer: Address,
    nowUs: number,
    out: Output[],
  ): ResponderSession | undefined {
    if (halfOpen === undefined) return undefined
    this.#options.handshakeResponder.onProved(cid)
    const { session: id, keys, key, keyId, mustBeKnown } = halfOpen
    const creditShareBytes = creditShare(this.size + 1)
    const session = new ResponderSession({ id, peer, keys, key, keyId, creditShareBytes }, nowUs)
    const owner = ownerOf(key, peer.ip)
    if (this.size >= inboundSessionsMax && !this.#makeRoom(owner, out)) {
      session.onHeard(peer, datagram.length)
      const frame = closeFrame(closeCode.busy, 'too many sessions', busyPauseMs)
      out.push(...session.close(frame))
      return undefined
    }
    this.#byCid.set(cid, session)
    this.#peerCids.add(keys.peerCid)
    this.#begun++
    const entry = { session, cid, owner, mustBeKnown, chargedBytes: 0 }
    this.#byId.set(id, entry)
    this.#shares.add(owner, entry)
    return session
  }

  /** @returns whether there is room: somebody has more, or the same owner one that does nothing. */
  #makeRoom(owner: string, out: Output[]): boolean {
    const own = this.#shares.of(owner)
    const fullest = this.#shares.fullest()
    const isOwn = fullest.size <= own.size + 1
    const entries = Array.from(isOwn ? own : fullest)
    const fresh = entries.find(({ session }) => session.isFresh)
    const entry = fresh ?? (isOwn ? undefined : entries.reduce(longerSilent))
    if (entry === undefined) return false
    this.#close(entry.session.id, closeFrame(closeCode.busy, 'too many sessions', busyPauseMs), out)
    return true
  }

  /** Too much waits out of order: the largest session goes of the owner that is charged most. */
  #charge(session: ResponderSession, out: Output[]): void {
    const entry = this.#byId.get(session.id)
    if (entry === undefined) return
    this.#chargedBytes += session.chargedBytes - entry.chargedBytes
    entry.chargedBytes = session.chargedBytes
    if (this.#chargedBytes <= heldBytesAll) return
    const byOwner = new Map<string, number>()
    for (const { owner, chargedBytes } of this.#byId.values()) {
      byOwner.set(owner, (byOwner.get(owner) ?? 0) + chargedBytes)
    }
    const [first] = Array.from(byOwner).toSorted(([, one], [, other]) => other - one)
    const entries = Array.from(this.#shares.of(first?.[0] ?? ''))
    const largest = entries.reduce((one, other) =>
      other.chargedBytes > one.chargedBytes ? other : one,
    )
    const reason = 'too much of the stream waits for what is missing'
    this.#close(largest.session.id, closeFrame(closeCode.busy, reason, busyPauseMs), out)
  }

  #onFrames(
    session: ResponderSession,
    packet: DataPacket,
    frames: readonly Frame[],
    from: Address,
    nowUs: number,
    out: Output[],
  ): void {
    const { packetNumber, datagram } = packet
    for (const fact of session.onPacket(packetNumber, frames, datagram.length, from, nowUs)) {
      // A frame after CLOSE comes too late.
      if (this.has(session.id)) this.#onFact(session, fact, out)
    }
    this.#charge(session, out)
  }

  #onFact(session: ResponderSession, fact: InboundFact, out: Output[]): void {
    switch (fact.type) {
      case 'open':
        this.#accept(session, fact.frame, out)
        return
      case 'closed':
        this.#forget(session.id, out)
        return
      case 'broken':
        this.#break(session, fact.reason, out)
    }
  }

  #accept(session: ResponderSession, frame: OpenFrame, out: Output[]): void {
    const { databaseId, stream, confirmed } = frame
    // Ids are views of the packet, which is the driver's.
    out.push({
      type: 'store',
      work: {
        type: 'accept',
        session: session.id,
        key: session.key,
        databaseId: new Uint8Array(databaseId),
        stream: new Uint8Array(stream),
        confirmed,
        mustBeKnown: this.#byId.get(session.id)?.mustBeKnown ?? true,
        host: frame.host === '' ? session.peer.ip : frame.host,
        port: frame.port === 0 ? session.peer.port : frame.port,
      },
    })
    out.push({
      type: 'event',
      event: { type: 'peer-opened', from: session.peer, key: session.key },
    })
  }

  #break(session: ResponderSession, reason: string, out: Output[]): void {
    out.push({ type: 'event', event: { type: 'peer-broke-rule', from: session.peer, reason } })
    this.#close(session.id, closeFrame(closeCode.protocol, reason, brokenPauseUs / 1000), out)
  }

  #close(id: SessionId, frame: CloseFrame, out: Output[]): ResponderSession | undefined {
    const session = this.#byId.get(id)?.session
    if (session === undefined) return undefined
    out.push(...session.close(frame))
    this.#forget(id, out)
    return session
  }

  #forget(id: SessionId, out: Output[]): void {
    const entry = this.#byId.get(id)
    if (entry === undefined) return
    this.#byId.delete(id)
    this.#byCid.delete(entry.cid)
    this.#peerCids.delete(entry.session.keys.peerCid)
    this.#shares.remove(entry.owner, entry)
    this.#chargedBytes -= entry.chargedBytes
    entry.session.onEnded()
    this.#ended.push(entry.session)
    out.push({ type: 'store', work: { type: 'release-session', session: id } })
  }
}

function longerSilent(one: Entry, other: Entry): Entry {
  return other.session.lastHeardUs < one.session.lastHeardUs ? other : one
}

function closeFrame(code: CloseCode, reason: string, retryAfterMs = 0): CloseFrame {
  return { type: 'close', code, sequence: 0, retryAfterMs, reason }
}
