/**
 * The core: facts in, decisions out. Finds the session that a packet belongs to, the lane that a
 * result belongs to, and what is due; the work itself is done by `Lane`, `ResponderSession` and
 * `HandshakeResponder`. Must never do I/O, tell the time, or draw a random number but through its
 * environment.
 *
 * A datagram is only taken in; what follows from it (acks, rows for the store, packets that may now
 * leave) is given out by the next `tick`, which is due at once. So a burst of datagrams costs one
 * answer and one hand-over to the store.
 */
import {
  type Address,
  type DropReason,
  type Input,
  type KeylessFrom,
  type NodeCounters,
  type Output,
  isLoopback,
  newCounters,
} from './io.ts'
import { unreachable } from './assert.ts'
import { decodeFrames } from './codec/frame.ts'
import {
  type ConnectionId,
  type DataPacket,
  decodePacket,
  encodePacket,
  type Packet,
  protocolVersion,
} from './codec/packet.ts'
import {
  acquaintedMax,
  datagramsPerTick,
  datagramsPerTurn,
  hintsPerSecondMax,
  readAheadBytesAll,
  readShareBytesMin,
  renewAfterPackets,
} from './constants.ts'
import type { Key } from './crypto/handshake.ts'
import { KeyRing } from './crypto/key-ring.ts'
import type { Environment } from './crypto/provider.ts'
import { HandshakeResponder } from './session/handshake-responder.ts'
import { Lane } from './session/lane.ts'
import { Lanes } from './session/lanes.ts'
import { ResponderSession } from './session/responder-session.ts'
import { ResponderSessions } from './session/responder-sessions.ts'
import type { LaneAddress, LaneId, SessionId, StoreResult } from './store-messages.ts'
import { TimerQueue, RateLimit } from './timer-queue.ts'

export type EndpointOptions = {
  /** Our own UDP port. */
  readonly port: number
  /** Where peers can answer; '' and 0: where our packets come from. */
  readonly advertisedHost: string
  readonly advertisedPort: number
  readonly keylessFrom: KeylessFrom
  /** Anybody may be behind it: without a key only databases that are known may send from there. */
  readonly proxyIp?: string | undefined
  readonly keys: readonly Key[]
  /** The largest datagram that our socket's buffer takes a few of. */
  readonly datagramBytesMax: number
  /** Per session; 0: no limit. */
  readonly bytesPerSecondMax: number
  /** Less than PROTOCOL §4.5 allows: for tests. */
  readonly renewAfterPackets?: number
}

type Owner = Sending | HandshakeResponder

export class Endpoint {
  readonly counters: NodeCounters = newCounters()
  readonly #options: EndpointOptions
  readonly #environment: Environment
  #ring: KeyRing
  readonly #handshakeResponder: HandshakeResponder
  readonly #inbound: ResponderSessions
  readonly #lanes = new Lanes()
  readonly #deadlines = new TimerQueue<Owner>()
  readonly #hints = new RateLimit(hintsPerSecondMax)
  #ownIps: ReadonlySet<string> = new Set()
  /** Whom this node has informed that it is back. */
  #acquaintedIps: ReadonlySet<string> = new Set()
  #lastSession = 0
  readonly #takeSessionId = (): SessionId => ++this.#lastSession
  #stopped = false

  constructor(options: EndpointOptions, environment: Environment, nowUs: number) {
    this.#options = options
    this.#environment = environment
    const ring = new KeyRing(environment, options.keys)
    this.#ring = ring
    const takeSessionId = this.#takeSessionId
    this.#handshakeResponder = new HandshakeResponder(
      { ...options, environment, ring, takeSessionId },
      nowUs,
    )
    this.#inbound = new ResponderSessions({
      handshakeResponder: this.#handshakeResponder,
      datagramBytesMax: options.datagramBytesMax,
    })
  }

  /** When `tick` is due, in monotonic microseconds; it may lie in the past. */
  deadlineUs(): number | undefined {
    return this.#deadlines.earliestUs()
  }

  /** What is held for others: sessions that they have opened here, and that they have begun to. */
  get held(): { readonly sessions: number; readonly halfOpen: number; readonly bytes: number } {
    return { ...this.#inbound.held, halfOpen: this.#handshakeResponder.size }
  }

  /** The only way in, the only way out. `nowUs` never falls. */
  handle(input: Input, nowUs: number): Output[] {
    const out: Output[] = []
    if (!this.#stopped) this.#dispatch(input, nowUs, out)
    for (const ended of this.#inbound.takeEnded()) this.#deadlines.set(ended, undefined)
    for (const output of out) {
      if (output.type !== 'send') continue
      this.counters.datagramsOut++
      this.counters.bytesOut += output.bytes.length
    }
    return out
  }

  #dispatch(input: Input, nowUs: number, out: Output[]): void {
    switch (input.type) {
      case 'datagram':
        return this.#onDatagram(input.from, input.bytes, nowUs, out)
      case 'stored':
        return this.#onStored(input.result, nowUs, out)
      case 'tick':
        return this.#onTick(nowUs, out)
      case 'resolved':
        return this.#onResolved(input, nowUs, out)
      case 'too-long':
        return this.#forLanes(nowUs, (lane) => lane.onTooLong(input.to, input.bytes, nowUs))
      case 'unsent':
        for (const lane of this.#lanes.all()) lane.initiator?.onUnsent(input.to, input.reason)
        return
      case 'network':
        this.#ownIps = new Set(input.ips)
        return this.#forLanes(nowUs, (lane) => lane.onNetwork(nowUs, out))
      case 'wake-peers':
        return this.#wakePeers(input.addresses, out)
      case 'keys':
        return this.#onRing(input, nowUs, out)
      case 'clock-jumped':
        out.push({ type: 'event', event: { type: 'clock-jumped' } })
        this.#handshakeResponder.onClockJump()
        this.#inbound.onClockJump(out)
        return this.#forLanes(nowUs, (lane) => lane.onClockJump(nowUs, out))
      case 'retry':
        return this.#forLaneId(input.lane, nowUs, (lane) => lane.onRetryNow(nowUs, out))
      case 'stop':
        this.#forLanes(nowUs, (lane) => lane.stop(nowUs, out))
        this.#inbound.stop(out)
        this.#stopped = true
        return
      default:
        return unreachable(input)
    }
  }

  #onResolved(answer: Extract<Input, { type: 'resolved' }>, nowUs: number, out: Output[]): void {
    for (const lane of this.#lanes.byHost(answer.host)) {
      this.#forLane(lane, nowUs, () => lane.onResolved(answer.ips, answer.reason, nowUs, out))
    }
  }

  #wakePeers(addresses: readonly Address[], out: Output[]): void {
    const ips = [...this.#acquaintedIps, ...addresses.map(({ ip }) => ip)]
    this.#acquaintedIps = new Set(ips.slice(-acquaintedMax))
    for (const to of addresses) {
      out.push({ type: 'send', to, bytes: encodePacket({ type: 'wake' }) })
    }
  }

  #onRing(
    { keys, keylessFrom }: Extract<Input, { type: 'keys' }>,
    nowUs: number,
    out: Output[],
  ): void {
    this.#ring = new KeyRing(this.#environment, keys)
    this.#handshakeResponder.onRing(this.#ring, keylessFrom)
    this.#inbound.onRing(out)
    this.#forLanes(nowUs, (lane) => lane.onRing(nowUs, out))
  }

  // ---- packets

  #onDatagram(from: Address, bytes: Uint8Array, nowUs: number, out: Output[]): void {
    this.counters.datagramsIn++
    this.counters.bytesIn += bytes.length
    const packet = decodePacket(bytes)
    if (packet === undefined) this.#drop('malformed')
    else this.#onPacket(packet, from, nowUs, out)
  }

  #drop(reason: DropReason): void {
    this.counters.dropped[reason]++
  }

  #onPacket(packet: Packet, from: Address, nowUs: number, out: Output[]): void {
    switch (packet.type) {
      case 'data':
        return this.#onData(packet, from, nowUs, out)
      case 'hello1': {
        if (this.#isEcho(packet.scid)) return
        const bytes = this.#handshakeResponder.onHello1(packet, from, nowUs)
        if (bytes !== undefined) out.push({ type: 'send', to: from, bytes })
        for (const event of this.#handshakeResponder.takeUnauthenticated())
          out.push({ type: 'event', event })
        this.#settle(this.#handshakeResponder, nowUs)
        return
      }
      case 'hello2':
      case 'retry':
      case 'versions':
        return this.#forCid(packet.dcid, nowUs, (lane) => lane.onAnswer(packet, nowUs, out))
      case 'foreign-hello1': {
        // This machine may always ask (`tinymq check`), whatever unauthenticated peers send
        // meanwhile.
        if (!isLoopback(from.ip) && !this.#mayHint(from, nowUs)) return
        const versions = Uint8Array.of(protocolVersion)
        const bytes = encodePacket({ type: 'versions', dcid: packet.scid, versions })
        out.push({ type: 'send', to: from, bytes })
        return
      }
      case 'unknown':
        return this.#forLane(this.#lanes.byPeerCid(packet.dcid), nowUs, (lane) =>
          lane.onUnknown(packet.dcid, nowUs, out),
        )
      case 'wake':
        return this.#forLane(this.#lanes.toWake(from, nowUs), nowUs, (lane) =>
          lane.onHeard(nowUs, out),
        )
      default:
        return unreachable(packet)
    }
  }

  #onData(packet: DataPacket, from: Address, nowUs: number, out: Output[]): void {
    const lane = this.#lanes.byCid(packet.dcid)
    if (lane !== undefined) return this.#onLaneData(lane, packet, nowUs, out)
    const before = this.#inbound.begun
    const session = this.#inbound.onData(packet, from, nowUs, out)
    if (session === undefined) {
      this.#drop('unknown-session')
      if (this.#isOwn(packet.dcid) || !this.#mayHint(from, nowUs)) return
      const bytes = encodePacket({ type: 'unknown', dcid: packet.dcid })
      out.push({ type: 'send', to: from, bytes })
    } else if (session === 'unauthenticated') this.#drop(session)
    else {
      this.#settle(session, nowUs)
      // A peer that has just proved itself is back: lanes that wait for it need not wait longer.
      if (this.#inbound.begun > before) this.#onHeard(from, nowUs, out)
    }
  }

  #onLaneData(lane: Lane, packet: DataPacket, nowUs: number, out: Output[]): void {
    const plain = lane.session?.keys.open(packet)
    if (plain === undefined) return this.#drop('unauthenticated')
    const frames = decodeFrames(plain, 'responder')
    if (frames === undefined) return this.#drop('malformed')
    lane.onFrames(frames, nowUs, out)
    this.#settle(lane, nowUs)
  }

  /** PROTOCOL §3.2: with an answer to our own HELLO1 a lane would take this node for its peer. */
  #isEcho(scid: ConnectionId): boolean {
    const lane = this.#lanes.byCid(scid)
    if (lane === undefined || lane.route.addresses.leadHere) return false
    this.#drop('echo')
    lane.initiator?.onEcho()
    return true
  }

  /** Packets to this id leave from here: it has come back. */
  #isOwn(cid: ConnectionId): boolean {
    const lane = this.#lanes.byPeerCid(cid)
    return lane?.route.addresses.leadHere === false || this.#inbound.sendsTo(cid)
  }

  /** PROTOCOL §3.6: unauthenticated peers shall not even learn that there is somebody. */
  #mayHint(to: Address, nowUs: number): boolean {
    const isKnown = this.#handshakeResponder.takesKeyless(to) || this.#acquaintedIps.has(to.ip)
    return isKnown && this.#hints.take(nowUs)
  }

  #onHeard(from: Address, nowUs: number, out: Output[]): void {
    for (const lane of this.#lanes.all()) {
      if (lane.initiator?.sendsHello(from) === true)
        this.#forLane(lane, nowUs, () => lane.onHeard(nowUs, out))
    }
  }

  // ---- the store

  #onStored(result: StoreResult, nowUs: number, out: Output[]): void {
    switch (result.type) {
      case 'lanes':
        for (const address of result.lanes) this.#openLane(address, nowUs, out)
        return
      case 'drained':
        return this.#forLaneId(result.lane, nowUs, (lane) => lane.onEmptied(nowUs, out))
      case 'retry-requested':
        return this.#forLaneId(result.lane, nowUs, (lane) => lane.onRetryNow(nowUs, out))
      case 'session-invalidated':
        return this.#forSession(result.session, nowUs, (lane) =>
          lane.onStoreLost(result, nowUs, out),
        )
      case 'lane-opened':
        return this.#forSession(result.session, nowUs, (lane) => lane.onLaneOpened(result))
      case 'identity-checked':
        return this.#forSession(result.session, nowUs, (lane) =>
          lane.onIdentityChecked(result, nowUs, out),
        )
      case 'rows':
        return this.#forSession(result.session, nowUs, (lane) =>
          lane.onRows(result.bytes, result.lastSequence, nowUs, out),
        )
      case 'accepted':
        return this.#settle(this.#inbound.onAccepted(result), nowUs)
      case 'received':
        return this.#settle(this.#inbound.onReceived(result, nowUs), nowUs)
      case 'superseded':
        return this.#settle(this.#inbound.onSuperseded(result.session, out), nowUs)
      case 'rejected':
        return this.#settle(this.#inbound.onRejected(result, out), nowUs)
      default:
        return unreachable(result)
    }
  }

  #openLane(address: LaneAddress, nowUs: number, out: Output[]): void {
    const known = this.#lanes.byLane(address.lane)
    if (known !== undefined) return this.#forLane(known, nowUs, () => known.onNewRows(nowUs, out))
    const lane = new Lane(
      {
        ...this.#options,
        environment: this.#environment,
        address,
        ring: () => this.#ring,
        renewAfterPackets: this.#options.renewAfterPackets ?? renewAfterPackets,
        readShareBytes: () =>
          Math.max(readShareBytesMin, Math.floor(readAheadBytesAll / (this.#lanes.sessions + 1))),
        takeSessionId: this.#takeSessionId,
        onReached: (peer, atUs, outputs) => this.#onHeard(peer, atUs, outputs),
        isOwnIp: (ip) => address.port === this.#options.port && this.#isOwnIp(ip),
        isHeard: (from) => this.#lanes.isHeard(from) || this.#inbound.isHeard(from),
      },
      nowUs,
    )
    this.#lanes.add(lane)
    lane.onDeadline(nowUs, out)
    this.#settle(lane, nowUs)
  }

  // ---- time

  #onTick(nowUs: number, out: Output[]): void {
    const due: Owner[] = []
    for (;;) {
      const owner = this.#deadlines.takeDue(nowUs)
      if (owner === undefined) break
      due.push(owner)
    }
    for (const owner of due) this.#onDeadline(owner, nowUs, out)
    takeTurns(due, sendingOf, nowUs, out, (owner) => this.#settle(owner, nowUs))
  }

  #onDeadline(owner: Owner, nowUs: number, out: Output[]): void {
    if (owner instanceof ResponderSession) this.#inbound.onDeadline(owner, nowUs, out)
    else if (owner instanceof Lane) owner.onDeadline(nowUs, out)
    else owner.onDeadline(nowUs)
  }

  // ---- finding and settling

  #forLanes(nowUs: number, change: (lane: Lane) => void): void {
    for (const lane of this.#lanes.all()) this.#forLane(lane, nowUs, change)
  }

  #forCid(cid: ConnectionId, nowUs: number, change: (lane: Lane) => void): void {
    const lane = this.#lanes.byCid(cid)
    if (lane === undefined) this.#drop('unknown-session')
    else this.#forLane(lane, nowUs, change)
  }

  #forLaneId(id: LaneId, nowUs: number, change: (lane: Lane) => void): void {
    this.#forLane(this.#lanes.byLane(id), nowUs, change)
  }

  #forSession(session: SessionId, nowUs: number, change: (lane: Lane) => void): void {
    this.#forLane(this.#lanes.bySession(session), nowUs, change)
  }

  #forLane(lane: Lane | undefined, nowUs: number, change: (lane: Lane) => void): void {
    if (lane === undefined) return
    change(lane)
    this.#settle(lane, nowUs)
  }

  /** Its next deadline, and where it is found, after something has happened to it. */
  #settle(owner: Owner | undefined, nowUs: number): void {
    if (owner === undefined) return
    if (owner instanceof Lane) this.#lanes.register(owner)
    this.#deadlines.set(owner, owner.deadlineUs(nowUs))
  }

  #isOwnIp(scoped: string): boolean {
    // Own addresses come without the scope that a link-local one has in a datagram.
    const [ip = ''] = scoped.split('%', 1)
    return isLoopback(ip) || this.#ownIps.has(ip)
  }
}

function sendingOf(owner: Owner): Sending | undefined {
  return owner instanceof HandshakeResponder ? undefined : owner
}

// Whose turn it is to send: everyone who is due has some datagrams, and whoever has more to send
// has another turn when all have had one. Must never let one bulk lane stand before the others
// (P6), nor one tick last long.

export type Sending = Lane | ResponderSession

/** `settle` is called with who has had its last turn. */
function takeTurns<Owner>(
  due: readonly Owner[],
  sending: (owner: Owner) => Sending | undefined,
  nowUs: number,
  out: Output[],
  settle: (owner: Owner) => void,
): void {
  let round = due
  let budget = datagramsPerTick
  while (round.length > 0) {
    const again: Owner[] = []
    for (const owner of round) {
      const sent = send(sending(owner), Math.min(budget, datagramsPerTurn), nowUs, out)
      budget -= sent
      if (sent === datagramsPerTurn) again.push(owner)
      else settle(owner)
    }
    round = again
  }
}

/** How many datagrams have left. */
function send(
  owner: Sending | undefined,
  datagramsMax: number,
  nowUs: number,
  out: Output[],
): number {
  if (owner === undefined) return 0
  for (let sent = 0; sent < datagramsMax; sent++) {
    if (owner instanceof Lane) {
      const datagram = owner.nextDatagram(nowUs)
      if (datagram === undefined) return sent
      out.push({ type: 'send', ...datagram })
    } else {
      const bytes = owner.nextDatagram(nowUs)
      if (bytes === undefined) return sent
      out.push({ type: 'send', to: owner.peer, bytes })
    }
  }
  return datagramsMax
}
