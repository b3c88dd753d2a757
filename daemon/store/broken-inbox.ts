/**
 * An inbox that takes no row, because a trigger or an index of its owner's does not work: the
 * sender is told, and so is the operator at this end, who can mend it. Must never say it for each
 * try of each sender.
 */
import { closeCode } from '../protocol/frame.ts'
import { EventPace } from './event-pace.ts'
import type { Events } from './events.ts'
import type { Sender } from './senders.ts'
import type { Refused } from './storing.ts'
import type { Turn, Work } from './turn.ts'

/** Senders try every ten seconds; whoever looks for a reason looks at the newest events. */
const sayAgainMs = 600_000

const hidden =
  "a new sender without a key at the address of the container's gateway, behind which may be " +
  'anybody: give both ends a key ring (docs/networking.md, Docker)'
/**
 * Netfilter forgets an answered flow of UDP after 120 s (nf_conntrack_udp_timeout_stream): one that
 * began while the container was away leads past the proxy then.
 */
const hiddenPauseMs = 130_000

/** Of whom a message, or all of them, was rejected. */
type Rejected = { readonly host: string; readonly port: number; readonly sender: Sender }

/** What an OPEN claims. */
type Opened = { readonly confirmed: number; readonly host: string; readonly port: number }

export class BrokenInbox {
  readonly #events: Events
  readonly #pace = new EventPace()
  #reason = ''
  #saidAtMs = Number.NEGATIVE_INFINITY

  constructor(events: Events) {
    this.#events = events
  }

  /** Inside the open transaction. */
  tell(reason: string, nowMs: number): void {
    if (reason === this.#reason && Math.abs(nowMs - this.#saidAtMs) < sayAgainMs) return
    this.#reason = reason
    this.#saidAtMs = nowMs
    const detail =
      `mqin takes no row: ${reason}. A trigger or an index on it does not work: mend or drop it. ` +
      'The senders keep their rows and try again every ten seconds.'
    this.#events.add({ code: 'INBOX_BROKEN', detail }, nowMs)
  }

  /** Under the code that the sender has for it: who can fix it may be at this end. */
  tellRejected(from: Rejected, { type, reason }: Refused, nowMs: number): void {
    const { host, port, sender } = from
    const [code, what] =
      type === 'refused'
        ? ['TINYMQ_REFUSED', `message ${sender.watermark + 1} of this sender was rejected`]
        : ['TINYMQ_INBOX_CLOSED', 'this sender was turned away']
    const detail = `${what}: ${reason}. The sender keeps the row, and tries again.`
    if (this.#pace.mayTell(code, sender.key, nowMs)) {
      this.#events.addHourly({ code, host, port, detail }, nowMs)
    }
  }

  /** It comes from where a proxy may hide anybody, and has never come from elsewhere. */
  tellStranger(sender: Sender, { session, host, port }: Work<'accept'>, turn: Turn): void {
    this.tellRejected({ host, port, sender }, { type: 'closed', reason: hidden }, turn.nowMs)
    const told = { code: closeCode.closed, sequence: 0, retryAfterMs: hiddenPauseMs }
    turn.emit({ type: 'turned-away', session, ...told, reason: hidden })
  }

  /** The sender remembers more than we do. It notices too (rule 4), and sends what it still has. */
  tellIfRestored(sender: Sender, work: Opened, nowMs: number): void {
    const { confirmed, host, port } = work
    if (confirmed <= sender.watermark) return
    const code = 'INBOX_ROLLED_BACK'
    if (!this.#pace.mayTell(code, sender.key, nowMs)) return
    const detail =
      `This sender's messages ${sender.watermark + 1} to ${confirmed} were confirmed, and are ` +
      'not in this database: it was restored from a backup, or is another one than the sender ' +
      "knew. The sender's events say which they are."
    this.#events.add({ code, host, port, detail }, nowMs)
  }
}
