/**
 * What an initiator does after a CLOSE (PROTOCOL §9), and why else a lane waits: how long, and what
 * people read meanwhile. Code 4 is not among them: it is about one row.
 */
import { closeCode, type CloseCode, type CloseFrame } from '../codec/frame.ts'
import {
  brokenPauseUs,
  heldPauseUs,
  reopenPauseUs,
  retryAfterMaxUs,
  supersededPauseUs,
} from '../constants.ts'
import type { Output } from '../io.ts'
import type { InitiatorSession } from './initiator-session.ts'
import { tokenlessKey } from '../store-messages.ts'

/** Why a lane waits: a code of `TinymqError`, and a sentence. */
export type Trouble = { readonly code: string; readonly reason: string }

export type AfterClose = {
  /** Undefined: until somebody asks for a retry. */
  readonly pauseUs: number | undefined
  /** Undefined: nothing that anyone needs to know. */
  readonly trouble: Trouble | undefined
}

/** The last word of a session of ours. */
export function closing(session: InitiatorSession, code: CloseCode, reason: string): Output {
  const frame = { type: 'close', code, sequence: 0, retryAfterMs: 0, reason } as const
  return { type: 'send', to: session.peer, bytes: session.closeDatagram(frame) }
}

export function afterClose(frame: CloseFrame): AfterClose {
  const askedUs = Math.min(frame.retryAfterMs * 1000, retryAfterMaxUs)
  const pauseUs = Math.max(askedUs, leastPauseUs(frame.code))
  const trouble = troubles[frame.code]
  if (trouble === undefined || frame.reason === '') return { pauseUs, trouble }
  return { pauseUs, trouble: { ...trouble, reason: `${trouble.reason}: ${frame.reason}` } }
}

/** Each OPENED is of another database or state than the last. */
export const unsettled: AfterClose = {
  pauseUs: brokenPauseUs,
  trouble: {
    code: 'TINYMQ_IDENTITY',
    reason: 'the peer changes its identity with every answer',
  },
}

export function brokenRule(rule: string): AfterClose {
  const reason = `the peer broke a rule of the protocol: ${rule}`
  return { pauseUs: brokenPauseUs, trouble: { code: 'TINYMQ_PROTOCOL', reason } }
}

export function missingKey(name: string): AfterClose {
  const reason =
    name === tokenlessKey
      ? 'the row has no token, and this daemon has a key ring: UPDATE its token to the name of a ' +
        'key, or let rows without a token go without a key (--keyless-tokens)'
      : `the key ring has no key called ${name}: add it here and at the peer, or UPDATE the token`
  return { pauseUs: undefined, trouble: { code: 'TINYMQ_NO_KEY', reason } }
}

/** Handshakes succeed, and nothing else does. */
export const noProgress: Trouble = {
  code: 'TINYMQ_NO_ANSWER',
  reason:
    'the peer answers handshakes, and then nothing more: a firewall, or a path with a small MTU, ' +
    'may drop what follows',
}

/** Our own store has dropped the session. */
export function lostStore(reason: string, retryAfterMs: number, code = 'TINYMQ_STORE'): AfterClose {
  const pauseUs = Math.max(retryAfterMs * 1000, reopenPauseUs)
  return { pauseUs, trouble: { code, reason } }
}

function leastPauseUs(code: number): number {
  if (code === closeCode.superseded) return supersededPauseUs
  return code === closeCode.protocol ? brokenPauseUs : reopenPauseUs
}

/** Codes that are missing are nothing that anyone needs to know. */
const troubles: Partial<Record<CloseCode, Trouble>> = {
  [closeCode.superseded]: {
    code: 'TINYMQ_SUPERSEDED',
    reason: 'another copy of this database sends to the same peer',
  },
  [closeCode.protocol]: {
    code: 'TINYMQ_PROTOCOL',
    reason: 'the peer says that this node broke a rule of the protocol',
  },
  [closeCode.closed]: {
    code: 'TINYMQ_INBOX_CLOSED',
    reason: 'the peer takes nothing from this node',
  },
  [closeCode.busy]: { code: 'TINYMQ_PEER_BUSY', reason: 'the peer has too many sessions' },
  [closeCode.store]: {
    code: 'TINYMQ_PEER_STORE',
    reason: "the peer's database cannot take rows",
  },
}

/** The rules of identity hold the lane back: a name may be corrected, the rest is decided. */
export function heldBack(trouble: Trouble): AfterClose {
  return { pauseUs: trouble.code === 'TINYMQ_SELF_LOOP' ? heldPauseUs : undefined, trouble }
}
