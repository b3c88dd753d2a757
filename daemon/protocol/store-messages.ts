/**
 * What the core asks of the store, and what the store answers: values only, so that the two may
 * live in different threads. Must never hold behaviour. The store works through a batch of work in
 * the order in which it was given, inside one transaction, and hands out the answers after that
 * transaction has been committed and synced.
 */

import type { CloseCode } from './codec/frame.ts'

/** `mqlane.id`. */
export type LaneId = number
/**
 * Chosen by the core, counts up, never used twice by one process. Of two inbound sessions the one
 * whose handshake came first has the lower number.
 */
export type SessionId = number

/**
 * The key of rows without a token in a node that has keys: no ring has it, for names have no
 * spaces.
 */
export const tokenlessKey = '(no token)'

/** Who is written to where: the identity of a lane, as in `mqlane`. */
export type LaneAddress = {
  readonly lane: LaneId
  readonly host: string
  readonly port: number
  /** Name of the key; '' is keyless. */
  readonly key: string
}

/** PROTOCOL §5.6, as the initiator's store needs it to check. */
export type OpenedFacts = {
  readonly database: Uint8Array
  readonly watermark: number
  readonly digest: Uint8Array
  readonly part: number
  readonly logStart: number
  readonly messageBytesMax: number
}

/** What a lane is doing, for people (`mqlane.state`). */
export type LaneStatus =
  | { readonly type: 'connecting' }
  | { readonly type: 'open'; readonly rttUs: number }
  | { readonly type: 'idle' }
  | {
      readonly type: 'waiting'
      /** A code of `TinymqError`, the same in SQL, log and metrics. */
      readonly code: string
      readonly reason: string
      /** Until the next attempt, microseconds from now; undefined: until an operator acts. */
      readonly retryInUs: number | undefined
    }

/** What a session has sent so far. */
export type Traffic = {
  /** Smoothed round-trip time. */
  readonly rttUs: number
  /** Packets that ask for an ack, probes among them. */
  readonly packets: number
  /** Those that did not arrive: what they carried was sent again. */
  readonly lost: number
}

export type StoreWork =
  /** Outbound: which stream is this lane's? A lane has one reading session: the newest to ask. */
  | { readonly type: 'open-lane'; readonly lane: LaneId; readonly session: SessionId }
  /** Outbound: apply the rules of PROTOCOL §7.3. */
  | {
      readonly type: 'check-identity'
      readonly lane: LaneId
      readonly session: SessionId
      readonly opened: OpenedFacts
      /** Every address of the lane's name is one of this host's own, and its port is our port. */
      readonly addressIsOwn: boolean
    }
  /**
   * Outbound: number rows durably and hand over about `bytesMax` bytes of stream. It stays asked
   * until there are rows; a session has at most one of these open.
   */
  | { readonly type: 'read'; readonly session: SessionId; readonly bytesMax: number }
  /** Outbound: the peer has everything up to `sequence` on disk. */
  | { readonly type: 'confirmed'; readonly session: SessionId; readonly sequence: number }
  /** Outbound: the peer rejects the row at `sequence`; park it. */
  | {
      readonly type: 'row-rejected'
      readonly session: SessionId
      readonly sequence: number
      readonly reason: string
      readonly retryAfterMs: number
    }
  | { readonly type: 'lane-status'; readonly lane: LaneId; readonly status: LaneStatus }
  /** The traffic since the last one of these, for people. */
  | { readonly type: 'lane-traffic'; readonly lane: LaneId; readonly traffic: Traffic }
  /**
   * Inbound: PROTOCOL §5.5. Supersedes what another session did with this stream, unless that one
   * has a higher number: then this one is late, and `superseded` itself.
   */
  | {
      readonly type: 'accept'
      readonly session: SessionId
      readonly key: string
      readonly databaseId: Uint8Array
      readonly stream: Uint8Array
      readonly confirmed: number
      /** Only a database that has sent under this key before may go on. */
      readonly mustBeKnown: boolean
      /** Where the sender can be answered. */
      readonly host: string
      readonly port: number
    }
  /**
   * Inbound: the next bytes of the stream, without a gap, from `offset`. When the incomplete body
   * grows beyond `spillBytes` the store writes it down as a part, so that it counts as durable for
   * credit.
   */
  | {
      readonly type: 'receive'
      readonly session: SessionId
      readonly offset: number
      readonly bytes: Uint8Array
      readonly spillBytes: number
    }
  /** The session has ended: drop what is kept in memory for it. */
  | { readonly type: 'release-session'; readonly session: SessionId }

export type StoreResult =
  | {
      readonly type: 'lane-opened'
      readonly session: SessionId
      readonly databaseId: Uint8Array
      /** R, the database that the lane has been with; undefined before first contact. */
      readonly peer: Uint8Array | undefined
      readonly stream: Uint8Array
      readonly confirmed: number
    }
  /**
   * `go`: rows flow from watermark + 1; `restart`: the lane has a new stream, which needs a session
   * of its own; `hold`: the lane waits for its operator.
   */
  | {
      readonly type: 'identity-checked'
      readonly session: SessionId
      readonly decision:
        | { readonly type: 'go' }
        | { readonly type: 'restart' }
        | { readonly type: 'pause'; readonly code: string; readonly reason: string }
    }
  /**
   * Stream bytes of whole or partial records. `lastSequence`: of the last row that they begin or go
   * on with. `drained`: nothing more waits at this moment.
   */
  | {
      readonly type: 'rows'
      readonly session: SessionId
      readonly bytes: Uint8Array
      readonly lastSequence: number
      readonly drained: boolean
    }
  /**
   * Lanes that have rows to send; from a scan that the driver asked for. A lane is named again when
   * new rows come while it has no session, after its session was forgotten or it was `emptied`, and
   * when the store has failed.
   */
  | { readonly type: 'lanes'; readonly lanes: readonly LaneAddress[] }
  /** A lane that was named, and has no session, has no rows to send any more. */
  | { readonly type: 'drained'; readonly lane: LaneId }
  /** An operator asks for this lane to be tried at once. */
  | { readonly type: 'retry-requested'; readonly lane: LaneId }
  /**
   * Outbound: the store knows nothing of this session any more, because the database could not be
   * written, or was changed under it. What it had not answered has not happened; the session must
   * be dropped, and the lane opened again.
   */
  | {
      readonly type: 'session-invalidated'
      readonly session: SessionId
      readonly retryAfterMs: number
      readonly reason: string
      /** Of a fault of this end's store, if it is one that has a code of its own. */
      readonly code?: string
    }
  | {
      readonly type: 'accepted'
      readonly session: SessionId
      readonly database: Uint8Array
      readonly watermark: number
      readonly digest: Uint8Array
      readonly part: number
      readonly logStart: number
      readonly messageBytesMax: number
    }
  /**
   * Everything up to `sequence`, and all stream bytes below `durable`, are on disk; both never
   * fall.
   */
  | {
      readonly type: 'received'
      readonly session: SessionId
      readonly sequence: number
      readonly durable: number
    }
  /** Inbound session that must be closed with this code of PROTOCOL §9. */
  | {
      readonly type: 'rejected'
      readonly session: SessionId
      readonly code: CloseCode
      readonly sequence: number
      readonly retryAfterMs: number
      readonly reason: string
    }
  /** Of two inbound sessions of one stream, this is the earlier. */
  | { readonly type: 'superseded'; readonly session: SessionId }
