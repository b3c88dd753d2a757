/**
 * One outbound lane: brings its session up, keeps it up while there are rows, says what is wrong
 * when it cannot. It asks store and network by outputs; it never waits, and never looks at rows.
 */
import { assert, unreachable } from '../assert.ts'
import { closeCode, type CloseFrame, type Frame } from '../codec/frame.ts'
import type { Answer, ConnectionId, KeyId } from '../codec/packet.ts'
import {
  retryAfterMaxUs,
  silentGiveUpUs,
  silentProbesBeforeHello,
  statusPauseUs,
  trafficPauseUs,
  unknownPauseUs,
} from '../constants.ts'
import { LaneKey } from '../crypto/key-ring.ts'
import type { Address, Output } from '../io.ts'
import type {
  LaneAddress,
  LaneStatus,
  OpenedFacts,
  SessionId,
  StoreResult,
  StoreWork,
  Traffic,
} from '../store-messages.ts'
import { earliest } from '../timer-queue.ts'
import * as rests from './close-policy.ts'
import { type AfterClose, closing, type Trouble } from './close-policy.ts'
import type { HandshakeInitiator, HandshakeResult } from './handshake-initiator.ts'
import { InitiatorSession, type OutboundFact } from './initiator-session.ts'
import { type LaneOptions, Route } from './route.ts'

type IdentityChecked = Extract<StoreResult, { type: 'identity-checked' }>
type StoreLost = Extract<StoreResult, { type: 'session-invalidated' }>
type LaneOpened = Extract<StoreResult, { type: 'lane-opened' }>

/**
 * Which state follows which, and by what: `#become` holds the lane to it. LaneState, at the end of
 * this file, says what each state has.
 */
const transitions: {
  readonly [From in LaneState['type']]: { readonly [To in LaneState['type']]?: string }
} = {
  resting: {
    connecting: 'its pause is over; the ring changed; an operator, the network or a peer asks',
    resting: 'its key is missing, or the store lost the session meanwhile',
    ended: 'its rows are gone, or the node stops',
  },
  connecting: {
    connecting: 'the ring or the clock changed: another handshake',
    up: 'the handshake succeeded',
    resting: 'its key is missing, or the store failed',
    ended: 'its rows are gone, or the node stops',
  },
  up: {
    up: 'a successor began, was dropped, or took over',
    connecting: 'the session is silent, worn or under a retired key, or needs a new stream',
    resting:
      'the peer closed it, broke a rule, or the identity check or the store asks for a pause',
    ended: 'idle, or the node stops',
  },
  ended: { ended: 'the node stops' },
}

export class Lane {
  readonly address: LaneAddress
  readonly route: Route
  readonly #options: LaneOptions
  #state: LaneState
  readonly #reporter: LaneStatusReporter
  #reached: SessionId = 0
  #successorAtUs = -Infinity
  readonly #key: LaneKey

  constructor(options: LaneOptions, nowUs: number) {
    this.address = options.address
    this.#options = options
    this.#reporter = new LaneStatusReporter(options.address)
    this.#key = new LaneKey(options.address.key, options.ring)
    this.route = new Route(options, this.#key, nowUs)
    this.#state = { type: 'resting', untilUs: nowUs, isLoop: false }
  }

  get isEnded(): boolean {
    return this.#state.type === 'ended'
  }

  get session(): InitiatorSession | undefined {
    return this.#state.type === 'up' ? this.#state.session : undefined
  }

  /** The handshake with the peer that is under way. */
  get initiator(): HandshakeInitiator | undefined {
    return initiatorOf(this.#state)
  }

  connectionIds(): ConnectionId[] {
    return connectionIdsOf(this.#state)
  }

  deadlineUs(nowUs: number): number | undefined {
    return deadlineUsOf(this.#state, nowUs)
  }

  // ---- facts from the network

  onResolved(ips: readonly string[], reason: string, nowUs: number, out: Output[]): void {
    this.initiator?.onResolved(ips, reason, nowUs)
    this.#connect(nowUs, out)
  }

  /** It proves nothing until keys agree. */
  onAnswer(answer: Answer, nowUs: number, out: Output[]): void {
    const handshakeResult = this.initiator?.onAnswer(answer, nowUs, out)
    if (handshakeResult === undefined) this.#connect(nowUs, out)
    else this.#goUp(handshakeResult, nowUs, out)
  }

  /** Frames of a packet that opened under the session's keys. */
  onFrames(frames: readonly Frame[], nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    const { session, successor } = this.#state
    for (const fact of session.onFrames(frames, nowUs)) this.#onFact(fact, nowUs, out)
    if (this.#state.type !== 'up' || successor === undefined || this.#isOld(nowUs)) return
    // The session was only slow: another would have to send again what is under way.
    if (session.silentPtos === 0) this.#become({ ...this.#state, successor: undefined })
  }

  /** UNKNOWN for our session: followed up by a handshake, never trusted (PROTOCOL §3.6). */
  onUnknown(dcid: ConnectionId, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up' || this.#state.session.keys.peerCid !== dcid) return
    if (nowUs - this.#successorAtUs < unknownPauseUs) return
    this.#startSuccessor(nowUs, out)
  }

  /** The peer may be back. */
  onHeard(nowUs: number, out: Output[]): void {
    this.initiator?.onHint(nowUs)
    this.#connect(nowUs, out)
  }

  /** A handshake under way tries now (P12); a pause stays a pause. */
  onNewRows(nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'connecting' || this.#state.initiator.isQuiet(nowUs)) return
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
    if (this.#key.isRetired(this.#state.keyId)) {
      out.push(rests.closing(this.#state.session, closeCode.done, 'key retired'))
      return this.#beginAnew(nowUs, out)
    }
    if (!this.#key.isChanged) return
    this.#become({ ...this.#state, successor: undefined })
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
    const { databaseId, stream, confirmed, peer } = opened
    this.route.onLaneOpened(peer)
    this.#state.session.onStream({ type: 'open', databaseId, stream, confirmed, host, port })
  }

  onIdentityChecked({ decision }: IdentityChecked, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    const { session } = this.#state
    switch (decision.type) {
      case 'go':
        session.onAccepted(nowUs)
        this.route.onAccepted()
        if (!this.route.isInTrouble) this.#reporter.tellOpen(session, nowUs, out)
        this.#read(out)
        return
      case 'restart':
        if (!this.route.onRestart(nowUs)) return this.#rest(rests.unsettled, nowUs, out, session)
        out.push(rests.closing(session, closeCode.done, 'a new stream follows'))
        return this.#beginAnew(nowUs, out)
      case 'pause':
        return this.#rest(rests.heldBack(decision), nowUs, out, session)
      default:
        return unreachable(decision)
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
    this.#become({ type: 'connecting', initiator: this.route.newInitiator(nowUs) })
    this.#connect(nowUs, out)
  }

  #startSuccessor(nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up' || this.#state.successor !== undefined) return
    this.#successorAtUs = nowUs
    const successor = this.route.newInitiator(nowUs, this.#state.session)
    this.#become({ ...this.#state, successor })
    this.#connect(nowUs, out)
  }

  /** Looks up and sends HELLO1s, as far as it is time for it. */
  #connect(nowUs: number, out: Output[]): void {
    const { initiator } = this
    if (initiator === undefined) return
    if (initiator.takeLookUp(nowUs)) out.push({ type: 'resolve', host: this.address.host })
    out.push(...initiator.takeHellos(nowUs))
    if (this.#state.type === 'connecting') this.#reporter.tellConnecting(initiator, nowUs, out)
  }

  #goUp(handshakeResult: HandshakeResult, nowUs: number, out: Output[]): void {
    if (this.#state.type === 'up') {
      out.push(rests.closing(this.#state.session, closeCode.done, 'renewed'))
      this.#dropSession(nowUs, out)
    }
    const id = this.#options.takeSessionId()
    const { rtt, firstBytes } = this.route.pathTo(handshakeResult)
    const options = { ...this.#options, ...handshakeResult, rtt, firstBytes, id }
    const session = new InitiatorSession(options, nowUs)
    const { localCid, ledHere } = handshakeResult
    const { keyId } = this.#key
    this.#become({ type: 'up', session, localCid, ledHere, keyId, successor: undefined })
    this.#ask({ type: 'open-lane', lane: this.address.lane, session: id }, out)
  }

  // ---- inside: the session

  #onSessionDeadline(session: InitiatorSession, nowUs: number, out: Output[]): void {
    session.onDeadline(nowUs)
    if (session.isIdle(nowUs)) {
      out.push(rests.closing(session, closeCode.done, ''))
      return this.#end(nowUs, out)
    }
    const isSilent = session.silentPtos >= silentProbesBeforeHello
    if (isSilent && this.route.isInTrouble)
      this.#reporter.tellTrouble(rests.noProgress, 0, nowUs, out)
    if (isSilent || this.#isOld(nowUs)) this.#startSuccessor(nowUs, out)
    if (isSilent && session.silentUs(nowUs) >= silentGiveUpUs) return this.#beginAnew(nowUs, out)
    if (session.needsRekey) {
      out.push(rests.closing(session, closeCode.done, 'worn'))
      return this.#beginAnew(nowUs, out)
    }
    this.#connect(nowUs, out)
    this.#read(out)
  }

  /** PROTOCOL §4.5, §4.6. */
  #isOld(nowUs: number): boolean {
    if (this.#state.type !== 'up') return false
    return this.#state.session.needsRenewal(nowUs) || this.#state.keyId !== this.#key.keyId
  }

  #onFact(fact: OutboundFact, nowUs: number, out: Output[]): void {
    if (this.#state.type !== 'up') return
    const { session } = this.#state
    switch (fact.type) {
      case 'opened':
        return this.#onOpened(session, fact.opened, nowUs, out)
      case 'confirmed':
        if (this.route.isInTrouble) this.#reporter.tellOpen(session, nowUs, out)
        this.route.onProgress(nowUs)
        if (this.#reached !== session.id) this.#options.onReached(session.peer, nowUs, out)
        this.#reached = session.id
        this.#ask({ type: 'confirmed', session: session.id, sequence: fact.sequence }, out)
        this.#reporter.tellTraffic(session, session.isQuiet, nowUs, out)
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

  #onOpened(session: InitiatorSession, opened: OpenedFacts, nowUs: number, out: Output[]): void {
    if (this.route.isElsewhere(session, opened, nowUs)) {
      out.push(rests.closing(session, closeCode.done, 'another database than before'))
      return this.#beginAnew(nowUs, out)
    }
    const { lane } = this.address
    // The machine may have got another address since: its own HELLO1 was answered by itself.
    const ledHere = this.#state.type === 'up' && this.#state.ledHere
    const addressIsOwn = ledHere || this.route.addresses.leadHere
    this.#ask({ type: 'check-identity', lane, session: session.id, opened, addressIsOwn }, out)
  }

  #onBroken(session: InitiatorSession, rule: string, nowUs: number, out: Output[]): void {
    this.#reporter.tellBroken(session, rule, out)
    this.#rest(rests.brokenRule(rule), nowUs, out)
  }

  #onClosed(session: InitiatorSession, frame: CloseFrame, nowUs: number, out: Output[]): void {
    if (frame.code === closeCode.refused) return this.#onRefused(session, frame, nowUs, out)
    // The store names the lane again when it has rows.
    if (session.isQuiet) return this.#end(nowUs, out)
    this.#rest(rests.afterClose(frame), nowUs, out)
  }

  #onRefused(session: InitiatorSession, frame: CloseFrame, nowUs: number, out: Output[]): void {
    const { sequence, reason } = frame
    if (!session.isUnconfirmed(sequence)) {
      return this.#onBroken(session, 'a row was rejected that was never sent', nowUs, out)
    }
    this.route.onProgress(nowUs)
    const retryAfterMs = Math.min(frame.retryAfterMs, retryAfterMaxUs / 1000)
    this.#ask({ type: 'row-rejected', session: session.id, sequence, reason, retryAfterMs }, out)
    this.#beginAnew(nowUs, out)
  }

  #beginAnew(nowUs: number, out: Output[]): void {
    this.#dropSession(nowUs, out)
    this.#startConnecting(nowUs, out)
  }

  /** `open`: a session that the peer has to be notified of. */
  #rest(after: AfterClose, nowUs: number, out: Output[], open?: InitiatorSession): void {
    if (open !== undefined) out.push(rests.closing(open, closeCode.done, ''))
    const { pauseUs, trouble } = after
    this.#dropSession(nowUs, out)
    this.route.onExplained()
    const untilUs = pauseUs === undefined ? undefined : nowUs + pauseUs
    this.#become({ type: 'resting', untilUs, isLoop: trouble?.code === 'TINYMQ_SELF_LOOP' })
    if (trouble !== undefined) this.#reporter.tellTrouble(trouble, pauseUs, nowUs, out)
  }

  /** Rows in flight are read again by the next session. */
  #dropSession(nowUs: number, out: Output[]): void {
    const { session } = this
    if (session === undefined) return
    this.route.onSessionEnd(session, nowUs)
    this.#reporter.tellTraffic(session, true, nowUs, out)
    this.#ask({ type: 'release-session', session: session.id }, out)
  }

  #end(nowUs: number, out: Output[]): void {
    this.#dropSession(nowUs, out)
    this.#become({ type: 'ended' })
    this.#reporter.tell({ type: 'idle' }, nowUs, out)
  }

  #read(out: Output[]): void {
    const { session } = this
    const bytesMax = session?.takeRead(this.#options.readShareBytes())
    if (session === undefined || bytesMax === undefined) return
    this.#ask({ type: 'read', session: session.id, bytesMax }, out)
  }

  #become(state: LaneState): void {
    const [from, to] = [this.#state.type, state.type]
    assert(transitions[from][to] !== undefined, `A lane that is ${from} does not become ${to}.`)
    this.#state = state
  }

  #ask(work: StoreWork, out: Output[]): void {
    out.push({ type: 'store', work })
  }
}

// The states of a lane, and what follows from one.

/** Where a lane stands. */
type LaneState =
  | { readonly type: 'connecting'; readonly initiator: HandshakeInitiator }
  /** `successor`: a handshake next to the session, because it is silent, old or its key is. */
  | {
      readonly type: 'up'
      readonly session: InitiatorSession
      readonly localCid: ConnectionId
      /** It was made when the name could mean no other node than this one. */
      readonly ledHere: boolean
      /** Of the key that it is under; undefined without one. */
      readonly keyId: KeyId | undefined
      readonly successor: HandshakeInitiator | undefined
    }
  /**
   * The peer, or an operator's policy, asks for a pause; without an end it takes a retry by hand.
   * `isLoop`: the name led to a copy of this node, which another network may change.
   */
  | { readonly type: 'resting'; readonly untilUs: number | undefined; readonly isLoop: boolean }
  | { readonly type: 'ended' }

/** The handshake with the peer that is under way. */
function initiatorOf(state: LaneState): HandshakeInitiator | undefined {
  if (state.type === 'connecting') return state.initiator
  return state.type === 'up' ? state.successor : undefined
}

/** By which packets a lane in this state is found. */
function connectionIdsOf(state: LaneState): ConnectionId[] {
  const pendingHellos = initiatorOf(state)?.scids ?? []
  return state.type === 'up' ? [state.localCid, ...pendingHellos] : [...pendingHellos]
}

function deadlineUsOf(state: LaneState, nowUs: number): number | undefined {
  switch (state.type) {
    case 'connecting':
      return state.initiator.deadlineUs()
    case 'up':
      return earliest(state.session.deadlineUs(nowUs), state.successor?.deadlineUs())
    case 'resting':
      return state.untilUs
    case 'ended':
      return undefined
    default:
      return unreachable(state)
  }
}

// What people read of a lane: a status in its table when it changes, a line in the log when
// the reason is new. Must never repeat itself, for each status costs a write.

/** A session that lasts less may be one of many that end for the same reason. */
const flapUs = 60_000_000

export class LaneStatusReporter {
  readonly #lane: LaneAddress
  #said = ''
  /** The last reason that was logged: attempts and short sessions do not make it new. */
  #logged = ''
  #openLoggedUs = -Infinity
  #saidAtUs = -Infinity
  #traffic: { readonly id: SessionId | undefined; readonly packets: number; readonly lost: number }
  #trafficAtUs = -Infinity

  constructor(lane: LaneAddress) {
    this.#lane = lane
    this.#traffic = { id: undefined, packets: 0, lost: 0 }
  }

  tellOpen({ peer: to, traffic }: InitiatorSession, nowUs: number, out: Output[]): void {
    // Sessions that open and end again, for one reason, are one line, not two every few seconds.
    if (this.#logged === '' || nowUs - this.#openLoggedUs >= flapUs) {
      this.#openLoggedUs = nowUs
      out.push({ type: 'event', event: { type: 'lane-open', lane: this.#lane, to } })
    }
    this.tell({ type: 'open', rttUs: traffic.rttUs }, nowUs, out)
  }

  /** To the peer, and to the log. */
  tellBroken(session: InitiatorSession, reason: string, out: Output[]): void {
    out.push(closing(session, closeCode.protocol, reason))
    out.push({ type: 'event', event: { type: 'peer-broke-rule', from: session.peer, reason } })
  }

  /** The state of the handshake. */
  tellConnecting(initiator: HandshakeInitiator, nowUs: number, out: Output[]): void {
    const trouble = initiator.trouble()
    if (trouble === undefined) return this.tell({ type: 'connecting' }, nowUs, out)
    this.tellTrouble(trouble, Math.max(0, initiator.deadlineUs() - nowUs), nowUs, out)
  }

  /** `retryInUs` undefined: not before somebody acts. */
  tellTrouble(trouble: Trouble, retryInUs: number | undefined, nowUs: number, out: Output[]): void {
    const status = { ...trouble, type: 'waiting', retryInUs } as const
    const wasOpen = this.#said === 'open' && nowUs - this.#openLoggedUs >= flapUs
    if (wasOpen || this.#logged !== keyOf(status)) {
      this.#logged = keyOf(status)
      out.push({ type: 'event', event: { ...trouble, type: 'lane-waits', lane: this.#lane } })
    }
    this.tell(status, nowUs, out)
  }

  /** Said when it is new; a wait also when the time of the next attempt is. */
  tell(status: LaneStatus, nowUs: number, out: Output[]): void {
    const key = keyOf(status)
    const isKnown = key === this.#said
    if (isKnown && (status.type !== 'waiting' || nowUs - this.#saidAtUs < statusPauseUs)) return
    this.#said = key
    if (status.type === 'idle') this.#logged = ''
    this.#saidAtUs = nowUs
    out.push({ type: 'store', work: { type: 'lane-status', lane: this.#lane.lane, status } })
  }

  /** `isResting`: nothing more will follow for a while, so that now is the time to say it. */
  tellTraffic(
    session: { readonly id: SessionId; readonly traffic: Traffic },
    isResting: boolean,
    nowUs: number,
    out: Output[],
  ): void {
    if (!isResting && nowUs - this.#trafficAtUs < trafficPauseUs) return
    const { id } = session
    const { rttUs, packets, lost } = session.traffic
    const before = this.#traffic.id === id ? this.#traffic : { packets: 0, lost: 0 }
    if (packets === before.packets) return
    this.#traffic = { id, packets, lost }
    this.#trafficAtUs = nowUs
    const traffic = { rttUs, packets: packets - before.packets, lost: lost - before.lost }
    out.push({ type: 'store', work: { type: 'lane-traffic', lane: this.#lane.lane, traffic } })
  }
}

function keyOf(status: LaneStatus): string {
  return status.type === 'waiting' ? `${status.code} ${status.reason}` : status.type
}
