/**
 * What a lane knows of the way to its peer, from one session to the next: the addresses of its
 * name, the path of the last session, and since when nothing has got done. A handshake that
 * succeeds is no progress: what follows it may fail each time, and must not be tried ever faster.
 */
import { Connector, type Greeted } from './connector.ts'
import { helloPauseUs } from './hello-pause.ts'
import type { LaneKey } from './lane-key.ts'
import { pathOf, type LaneOptions, type Path } from './lane-state.ts'
import { streamRestartsMax, troubleSessions } from './limits.ts'
import type { OutboundSession } from './outbound-session.ts'
import { PeerAddresses } from './peer-addresses.ts'
import { datagramBytesMin, datagramBytesNarrow } from './recovery-limits.ts'
import type { OpenedFacts } from './store-port.ts'
import { equalBytes } from './wire.ts'

export class Route {
  readonly addresses: PeerAddresses
  readonly #options: LaneOptions
  readonly #key: LaneKey
  /** Since when nothing has got done. */
  #outageSinceUs: number
  /** Sessions in a row that ended without progress. */
  #fruitless = 0
  /** Sessions in a row that ended for a new stream. */
  #restarts = 0
  #path: Path | undefined
  /** R, as the store has said it for this session (PROTOCOL §7.1). */
  #peer: Uint8Array | undefined

  constructor(options: LaneOptions, key: LaneKey, nowUs: number) {
    this.#options = options
    this.#key = key
    this.addresses = new PeerAddresses(options.isOwnIp)
    this.#outageSinceUs = nowUs
  }

  /** Sessions come and go, and nothing gets done: people should read of it. */
  get isInTrouble(): boolean {
    return this.#fruitless >= troubleSessions
  }

  /** The path of the session that these keys are for. */
  pathTo(greeted: Greeted): Path {
    this.#path = pathOf(greeted, this.#path)
    return this.#path
  }

  /** The way to a new session; `beside`: to one that shall take the place of this session. */
  newConnector(nowUs: number, beside?: OutboundSession): Connector {
    const { environment, isHeard, address } = this.#options
    const silentSinceUs = beside && nowUs - beside.silentUs(nowUs)
    const outageSinceUs = silentSinceUs ?? this.#outageSinceUs
    const pauseUs = beside?.hasProgressed === true ? 0 : this.#pauseUs(nowUs)
    const [{ port }, key, { addresses }] = [address, this.#key.take(), this]
    const options = { environment, isHeard, port, key, addresses, outageSinceUs, pauseUs }
    return new Connector(options, nowUs)
  }

  // ---- facts

  onLaneOpened(peer: Uint8Array | undefined): void {
    this.#peer = peer
  }

  /**
   * PROTOCOL §7.3, rule 2: whether another database answered than before, and the lane's peer may
   * still be at another address of the name.
   */
  isElsewhere({ peer }: OutboundSession, { database }: OpenedFacts, nowUs: number): boolean {
    if (this.#peer === undefined || equalBytes(database, this.#peer)) return false
    return this.addresses.onForeign(peer.ip, nowUs)
  }

  /** The rules have let rows go. */
  onAccepted(): void {
    this.#restarts = 0
    this.addresses.onFound()
  }

  /** The rules demand a new stream, and with it a session. @returns whether it is time for it. */
  onRestart(nowUs: number): boolean {
    this.onProgress(nowUs)
    return ++this.#restarts % streamRestartsMax > 0
  }

  /** The session has ended with a reason, which has a pause of its own. */
  onExplained(): void {
    this.#fruitless = 0
  }

  onProgress(nowUs: number): void {
    this.#outageSinceUs = nowUs
    this.#fruitless = 0
  }

  onSessionEnd(session: OutboundSession, nowUs: number): void {
    const { hasProgressed, isUnopened, peer, datagramBytes } = session
    if (hasProgressed) this.onProgress(nowUs)
    else this.#fruitless++
    if (isUnopened) this.addresses.onUnopened(peer.ip, nowUs)
    // Small packets passed, and nothing else did: the path may carry no larger ones.
    const bytes = hasProgressed || isUnopened ? datagramBytes : datagramBytesNarrow
    if (this.#path?.ip !== peer.ip) return
    this.#path = { ...this.#path, firstBytes: Math.min(bytes, datagramBytesMin) }
  }

  /** After the first session without progress none, then a longer one each time. */
  #pauseUs(nowUs: number): number {
    if (this.#fruitless < 2) return 0
    const [random = 0] = this.#options.environment.randomBytes(1)
    return helloPauseUs(this.#fruitless - 2, nowUs - this.#outageSinceUs, random / 255)
  }
}
