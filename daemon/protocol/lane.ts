/**
 * One outbound lane: brings its session up, keeps it up while there are rows, says what is wrong
 * when it cannot. It asks store and network by outputs; it never waits, and never looks at rows.
 */
import { unreachable } from './assert.ts'
import * as rests from './after-close.ts'
import type { AfterClose } from './after-close.ts'
import type { Connector, Greeted } from './connector.ts'
import { closeCode, type CloseFrame, type Frame } from './frame.ts'
import { LaneKey } from './lane-key.ts'
import type { LaneOptions, LaneState } from './lane-state.ts'
import { connectionIdsOf, connectorOf, deadlineUsOf } from './lane-state.ts'
import {
  retryAfterMaxUs,
  silentGiveUpUs,
  silentProbesBeforeHello,
  unknownPauseUs,
} from './limits.ts'
import type { Address, Output } from './node-io.ts'
import { OutboundSession } from './outbound-session.ts'
import type { OutboundFact } from './outbound-state.ts'
import type { Answer, ConnectionId } from './packet.ts'
import { Route } from './route.ts'
import { StatusTeller } from './status-teller.ts'
import type { LaneAddress, OpenedFacts, SessionId, StoreResult, StoreWork } from './store-port.ts'

type Judged = Extract<StoreResult, { type: 'judged' }>
type StoreLost = Extract<StoreResult, { type: 'lost' }>
type LaneOpened = Extract<StoreResult, { type: 'lane-opened' }>

export class Lane {
  readonly address: LaneAddress
  readonly route: Route
  readonly #options: LaneOptions
  #state: LaneState
  readonly #teller: StatusTeller
  #reached: SessionId = 0
  #successorAtUs = -Infinity
  readonly #key: LaneKey

  constructor(options: LaneOptions, nowUs: number) {
    this.address = options.address
    this.#options = options
    this.#teller = new StatusTeller(options.address)
    this.#key = new LaneKey(options.address.key, options.ring)
    this.route = new Route(options, this.#key, nowUs)
    this.#state = { type: 'resting', untilUs: nowUs, isLoop: false }
  }

  get isEnded(): boolean {
    return this.#state.type === 'ended'
  }

  get session(): OutboundSession | undefined {
    return this.#state.type === 'up' ? this.#state.session : undefined
  }

  /** Who greets the peer now. */
  get connector(): Connector | undefined {
    return connectorOf(this.#state)
  }

  connectionIds(): ConnectionId[] {
    return connectionIdsOf(this.#state)
  }

  deadlineUs(nowUs: number): number | undefined {
    return deadlineUsOf(this.#state, nowUs)
  }

  // ---- facts from the network

  onResolved(ips: readonly string[], reason: string, nowUs: number, out: Output[]): void {
    this.connector?.onResolved(ips, reason, nowUs)
    this.#connect(nowUs, out)
  }

  /** It proves nothing until keys agree. */
  onAnswer(answer: Answer, nowUs: number, out: Output[]): void {
    const greeted = this.connector?.onAnswer(answer, nowUs, out)
    if (greeted === undefined) this.#connect(nowUs, out)
    else this.#goUp(greeted, nowUs, out)
  }

  /** Frames of a packet that opened under the session's keys. */
  onFrames(frames: readonly Frame[], nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    const { session, successor } = this.#state
    for (const fact of session.onFrames(frames, nowUs)) this.#onFact(fact, nowUs, out)
    if (this.#state.type !== 'up' || successor === undefined || this.#isOld(nowUs)) return
    // The session was only slow: another would have to send again what is under way.
    if (session.silentPtos === 0) this.#state = { ...this.#state, successor: undefined }
  }

  /** UNKNOWN for our session: followed up by a handshake, never trusted (PROTOCOL §3.6). */
  onUnknown(dcid: ConnectionId, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up' || this.#state.session.keys.peerCid !== dcid) return
    if (nowUs - this.#successorAtUs < unknownPauseUs) return
    this.#startSuccessor(nowUs, out)
  }

  /** The peer may be back. */
  onHeard(nowUs: number, out: Output[]): void {
    this.connector?.onHint(nowUs)
    this.#connect(nowUs, out)
  }

  /** Who greets tries now (P12); a pause stays a pause. */
  onNewRows(nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'connecting' || this.#state.connector.isQuiet(nowUs)) return
    this.onRetryNow(nowUs, out)
  }

  /** The own network has changed. A peer that asked for a pause still gets it. */
  onNetwork(nowUs: number, out: Output[]): void {
    const state = this.#state
    if (state.type === 'resting' && state.untilUs !== undefined && !state.isLoop) return
    this.onRetryNow(nowUs, out)
  }

  /** An operator asks: try now. */
  onRetryNow(nowUs: number, out: Output[]): void {
    if (this.#state.type === 'resting') return this.#startConnecting(nowUs, out)
    this.onHeard(nowUs, out)
  }

  /** The key ring is another one: what is under a retired key ends, the rest goes on meanwhile. */
  onRing(nowUs: number, out: Output[]): void {
    if (this.#state.type === 'connecting' || this.#state.type === 'resting') {
      if (this.#key.isChanged) this.#startConnecting(nowUs, out)
      return
    }
    if (this.#state.type !== 'up') return
    if (this.#key.isRetired(this.#state.hint)) {
      out.push(rests.closing(this.#state.session, closeCode.done, 'key retired'))
      return this.#beginAnew(nowUs, out)
    }
    if (!this.#key.isChanged) return
    this.#state = { ...this.#state, successor: undefined }
    this.#startSuccessor(nowUs, out)
  }

  /** PROTOCOL §4.5: nothing more is sealed with what a copy of this process may have too. */
  onClockJump(nowUs: number, out: Output[]): void {
    if (this.#state.type === 'up' || this.#state.type === 'connecting') this.#beginAnew(nowUs, out)
  }

  onTooLong(to: Address, bytes: number, nowUs: number): void {
    const { session } = this
    if (session?.peer.ip === to.ip && session.peer.port === to.port) session.onTooLong(bytes, nowUs)
  }

  // ---- facts from the store

  onLaneOpened(opened: LaneOpened): void {
    if (this.#state.type !== 'up') return
    const { advertisedHost: host, advertisedPort: port } = this.#options
    const { origin, stream, confirmed, peer } = opened
    this.route.onLaneOpened(peer)
    this.#state.session.onStream({ type: 'open', origin, stream, confirmed, host, port })
  }

  onJudged({ verdict }: Judged, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    const { session } = this.#state
    switch (verdict.type) {
      case 'go':
        session.onAccepted(nowUs)
        this.route.onAccepted()
        if (!this.route.isInTrouble) this.#teller.tellOpen(session, nowUs, out)
        this.#read(out)
        return
      case 'restart':
        if (!this.route.onRestart(nowUs)) return this.#rest(rests.unsettled, nowUs, out, session)
        out.push(rests.closing(session, closeCode.done, 'a new stream follows'))
        return this.#beginAnew(nowUs, out)
      case 'hold':
        return this.#rest(rests.heldBack(verdict), nowUs, out, session)
      default:
        return unreachable(verdict)
    }
  }

  onRows(bytes: Uint8Array, lastSequence: number, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    this.#state.session.onRows(bytes, lastSequence, nowUs)
    this.#read(out)
  }

  /** The store has lost its grip on this session: its database is full or busy. */
  onStoreLost({ reason, retryAfterMs, code }: StoreLost, nowUs: number, out: Output[]): void {
    this.#rest(rests.lostStore(reason, retryAfterMs, code), nowUs, out, this.session)
  }

  /** The lane has no rows any more. */
  onEmptied(nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') this.#end(nowUs, out)
  }

  // ---- timers and decisions

  onDeadline(nowUs: number, out: Output[]): void {
    switch (this.#state.type) {
      case 'connecting':
        return this.#connect(nowUs, out)
      case 'up':
        return this.#onSessionDeadline(this.#state.session, nowUs, out)
      case 'resting':
        if ((this.#state.untilUs ?? Infinity) <= nowUs) this.#startConnecting(nowUs, out)
        return
      case 'ended':
        return
      default:
        return unreachable(this.#state)
    }
  }

  /** The next datagram of the session, and where it goes. */
  nextDatagram(nowUs: number): { readonly bytes: Uint8Array; readonly to: Address } | undefined {
    const { session } = this
    const bytes = session?.nextDatagram(nowUs)
    return session === undefined || bytes === undefined ? undefined : { bytes, to: session.peer }
  }

  /** The node stops: say so to the peer. */
  stop(nowUs: number, out: Output[]): void {
    if (this.session !== undefined) out.push(rests.closing(this.session, closeCode.stopping, ''))
    this.#end(nowUs, out)
  }

  // ---- inside: connecting

  #startConnecting(nowUs: number, out: Output[]): void {
    if (this.#key.isMissing) {
      this.#key.take()
      return this.#rest(rests.missingKey(this.address.key), nowUs, out)
    }
    this.#state = { type: 'connecting', connector: this.route.newConnector(nowUs) }
    this.#connect(nowUs, out)
  }

  #startSuccessor(nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up' || this.#state.successor !== undefined) return
    this.#successorAtUs = nowUs
    const successor = this.route.newConnector(nowUs, this.#state.session)
    this.#state = { ...this.#state, successor }
    this.#connect(nowUs, out)
  }

  /** Looks up and greets, as far as it is time for it. */
  #connect(nowUs: number, out: Output[]): void {
    const { connector } = this
    if (connector === undefined) return
    if (connector.takeLookUp(nowUs)) out.push({ type: 'resolve', host: this.address.host })
    out.push(...connector.takeHellos(nowUs))
    if (this.#state.type === 'connecting') this.#teller.tellConnecting(connector, nowUs, out)
  }

  #goUp(greeted: Greeted, nowUs: number, out: Output[]): void {
    if (this.#state.type === 'up') {
      out.push(rests.closing(this.#state.session, closeCode.done, 'renewed'))
      this.#dropSession(nowUs, out)
    }
    const id = this.#options.takeSessionId()
    const { rtt, firstBytes } = this.route.pathTo(greeted)
    const options = { ...this.#options, ...greeted, rtt, firstBytes, id }
    const session = new OutboundSession(options, nowUs)
    const { localCid } = greeted
    this.#state = { type: 'up', session, localCid, hint: this.#key.hint, successor: undefined }
    this.#ask({ type: 'open-lane', lane: this.address.lane, session: id }, out)
  }

  // ---- inside: the session

  #onSessionDeadline(session: OutboundSession, nowUs: number, out: Output[]): void {
    session.onDeadline(nowUs)
    if (session.isIdle(nowUs)) {
      out.push(rests.closing(session, closeCode.done, ''))
      return this.#end(nowUs, out)
    }
    const isSilent = session.silentPtos >= silentProbesBeforeHello
    if (isSilent && this.route.isInTrouble)
      this.#teller.tellTrouble(rests.noProgress, 0, nowUs, out)
    if (isSilent || this.#isOld(nowUs)) this.#startSuccessor(nowUs, out)
    if (isSilent && session.silentUs(nowUs) >= silentGiveUpUs) return this.#beginAnew(nowUs, out)
    if (session.isWorn) {
      out.push(rests.closing(session, closeCode.done, 'worn'))
      return this.#beginAnew(nowUs, out)
    }
    this.#connect(nowUs, out)
    this.#read(out)
  }

  /** PROTOCOL §4.5, §4.6. */
  #isOld(nowUs: number): boolean {
    if (this.#state.type !== 'up') return false
    return this.#state.session.needsRenewal(nowUs) || this.#state.hint !== this.#key.hint
  }

  #onFact(fact: OutboundFact, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    const { session } = this.#state
    switch (fact.type) {
      case 'opened':
        return this.#onOpened(session, fact.opened, nowUs, out)
      case 'confirmed':
        if (this.route.isInTrouble) this.#teller.tellOpen(session, nowUs, out)
        this.route.onProgress(nowUs)
        if (this.#reached !== session.id) this.#options.onReached(session.peer, nowUs, out)
        this.#reached = session.id
        this.#ask({ type: 'confirmed', session: session.id, sequence: fact.sequence }, out)
        this.#teller.tellTraffic(session, session.isQuiet, nowUs, out)
        return this.#read(out)
      case 'progress':
        return this.#read(out)
      case 'closed':
        return this.#onClosed(session, fact.frame, nowUs, out)
      case 'broken':
        return this.#onBroken(session, fact.reason, nowUs, out)
      default:
        return unreachable(fact)
    }
  }

  #onOpened(session: OutboundSession, opened: OpenedFacts, nowUs: number, out: Output[]): void {
    if (this.route.isElsewhere(session, opened, nowUs)) {
      out.push(rests.closing(session, closeCode.done, 'another database than before'))
      return this.#beginAnew(nowUs, out)
    }
    const { lane } = this.address
    const addressIsOwn = this.route.addresses.leadHere
    this.#ask({ type: 'judge', lane, session: session.id, opened, addressIsOwn }, out)
  }

  #onBroken(session: OutboundSession, rule: string, nowUs: number, out: Output[]): void {
    this.#teller.tellBroken(session, rule, out)
    this.#rest(rests.brokenRule(rule), nowUs, out)
  }

  #onClosed(session: OutboundSession, frame: CloseFrame, nowUs: number, out: Output[]): void {
    if (frame.code === closeCode.refused) return this.#onRefused(session, frame, nowUs, out)
    // The store names the lane again when it has rows.
    if (session.isQuiet) return this.#end(nowUs, out)
    this.#rest(rests.afterClose(frame), nowUs, out)
  }

  #onRefused(session: OutboundSession, frame: CloseFrame, nowUs: number, out: Output[]): void {
    const { sequence, reason } = frame
    if (!session.isUnconfirmed(sequence)) {
      return this.#onBroken(session, 'a row was refused that was never sent', nowUs, out)
    }
    this.route.onProgress(nowUs)
    const retryAfterMs = Math.min(frame.retryAfterMs, retryAfterMaxUs / 1000)
    this.#ask({ type: 'refused', session: session.id, sequence, reason, retryAfterMs }, out)
    this.#beginAnew(nowUs, out)
  }

  #beginAnew(nowUs: number, out: Output[]): void {
    this.#dropSession(nowUs, out)
    this.#startConnecting(nowUs, out)
  }

  /** `open`: a session that the peer has to be told of. */
  #rest(after: AfterClose, nowUs: number, out: Output[], open?: OutboundSession): void {
    if (open !== undefined) out.push(rests.closing(open, closeCode.done, ''))
    const { pauseUs, trouble } = after
    this.#dropSession(nowUs, out)
    this.route.onExplained()
    const untilUs = pauseUs === undefined ? undefined : nowUs + pauseUs
    this.#state = { type: 'resting', untilUs, isLoop: trouble?.code === 'TINYMQ_SELF_LOOP' }
    if (trouble !== undefined) this.#teller.tellTrouble(trouble, pauseUs, nowUs, out)
  }

  /** Rows in flight are read again by the next session. */
  #dropSession(nowUs: number, out: Output[]): void {
    const { session } = this
    if (session === undefined) return
    this.route.onSessionEnd(session, nowUs)
    this.#teller.tellTraffic(session, true, nowUs, out)
    this.#ask({ type: 'forget', session: session.id }, out)
  }

  #end(nowUs: number, out: Output[]): void {
    this.#dropSession(nowUs, out)
    this.#state = { type: 'ended' }
    this.#teller.tell({ type: 'idle' }, nowUs, out)
  }

  #read(out: Output[]): void {
    const { session } = this
    const bytesMax = session?.takeRead(this.#options.readShareBytes())
    if (session === undefined || bytesMax === undefined) return
    this.#ask({ type: 'read', session: session.id, bytesMax }, out)
  }

  #ask(work: StoreWork, out: Output[]): void {
    out.push({ type: 'store', work })
  }
}
