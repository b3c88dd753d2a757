/**
 * What the daemon's HTTP server answers to the status page and to anybody's program: types only.
 * Must never import a value, so that the page can take it as it is. docs/observability.md has the
 * addresses. Times are wall-clock milliseconds since 1970; durations and sizes have their unit in
 * the name (bytes where none is). Ids are those of the tables.
 */
import type { HealthLevel } from '../diagnostics/finding.ts'

export type { Health, HealthFinding, HealthLevel } from '../diagnostics/finding.ts'

/** A number that may be an estimate: large tables are sampled, never counted. */
export type Count = { readonly value: number; readonly isExact: boolean }

/** `api/overview`, and every event of `api/events`. */
export type Overview = {
  readonly at: number
  readonly node: {
    /** What the page is headed with: the advertised host, else the name of the machine. */
    readonly name: string
    readonly version: string
    /** Path of the file. */
    readonly database: string
    /** Where it listens for peers: `ip:port`, the ip in brackets when it is IPv6. */
    readonly address: string
    readonly startedAt: number
    readonly pid: number
    /** Whether the POST routes are there (`--http-actions on`). */
    readonly canAct: boolean
    /** Whether it has a key ring. */
    readonly hasKeys: boolean
  }
  /** Over the last seconds. "Sent" is delivered: confirmed by the peer. */
  readonly rates: {
    readonly sentPerS: number
    readonly receivedPerS: number
    /** Of datagrams. */
    readonly sentBytesPerS: number
    readonly receivedBytesPerS: number
  }
  /** Since the daemon started. */
  readonly totals: {
    readonly sent: number
    readonly received: number
    readonly packetsSent: number
    readonly packetsReceived: number
    /** Packets that did not arrive, so that what they carried was sent again. */
    readonly retransmittedPackets: number
  }
  /** `waiting` is every row of mqout, those in flight and the parked ones included. */
  readonly outbox: {
    readonly waiting: Count
    readonly inFlight: Count
    readonly parked: Count
    readonly oldestAgeMs: number | null
  }
  readonly inbox: {
    readonly rows: Count
    readonly oldestAgeMs: number | null
    readonly dead: Count
  }
  /** How long the commits of the store took, since the daemon started; null before the first. */
  readonly commit: {
    readonly p50Us: number | null
    readonly p99Us: number | null
    readonly count: number
  }
  readonly disk: {
    readonly freeBytes: number | null
    readonly databaseBytes: number | null
    readonly walBytes: number | null
  }
  /** At most 50, the worst first. */
  readonly peers: readonly Peer[]
  /** Of all. */
  readonly peerCount: number
  readonly health: HealthLevel
  /** The newest first, at most 20. */
  readonly lastEvents: readonly ApiEvent[]
}

export type ApiEvent = {
  readonly at: number
  readonly code: string
  readonly host: string | null
  readonly port: number | null
  readonly sentence: string
}

/** `api/history?minutes=N`: samples in order, `stepMs` apart, the last one is the newest. */
export type History = {
  readonly stepMs: number
  /** When the daemon started: before it nothing is known. */
  readonly startedAt: number
  readonly samples: readonly HistorySample[]
}

/** What happened in the `stepMs` before `at`, and what was there at `at`. */
export type HistorySample = {
  readonly at: number
  readonly sentPerS: number
  readonly receivedPerS: number
  /** Rows in mqout. */
  readonly waiting: number
  readonly oldestAgeMs: number | null
}

export type PeerState = 'connecting' | 'open' | 'idle' | 'waiting' | 'unused'

/**
 * One stream of messages, to a peer or from it, as in `mqpeers`. What is null has no meaning in
 * that direction or is not known yet.
 */
export type Peer = {
  readonly direction: 'out' | 'in'
  readonly host: string
  readonly port: number
  /** Name of the key, '' without one. */
  readonly key: string
  /** Of `out` only. */
  readonly state: PeerState | null
  readonly errorCode: string | null
  readonly error: string | null
  /** `out`: since when the state holds; `in`: when it was last heard from. */
  readonly since: number | null
  readonly retryAt: number | null
  /** `out`: rows of mqout for this host and port under any key. */
  readonly waiting: Count | null
  readonly oldestAgeMs: number | null
  /** Messages so far, skipped ones included. */
  readonly watermark: number
  readonly rttMs: number | null
  /** Packets sent so far, and those of them that were lost. */
  readonly packets: number | null
  readonly lost: number | null
  /** Part of the packets of the last minute that were lost, 0 to 1. */
  readonly lossShare: number | null
  /** Messages a second over the last seconds. */
  readonly rowsPerS: number | null
  readonly lastEvent: {
    readonly at: number
    readonly code: string
    readonly sentence: string
  } | null
}

/** `api/peers`: the worst first, at most 1,000. */
export type Peers = { readonly peers: readonly Peer[]; readonly peerCount: number }

export type SearchBy = 'any' | 'id' | 'host' | 'token' | 'text'
export type OutboxState = 'waiting' | 'in-flight' | 'parked'
export type InboxState = 'ready' | 'leased' | 'dead'

/**
 * `api/outbox` and `api/inbox`, the newest row first. `next` is the `before` of the next request,
 * null when there is nothing more. `isComplete` is false when the time for one request was over
 * before `limit` rows were found: fewer rows (perhaps none), and `next` goes on from there.
 */
export type Rows<Row> = {
  readonly rows: readonly Row[]
  readonly next: number | null
  readonly isComplete: boolean
}

export type OutboxRow = {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly token: string
  /** Of data. */
  readonly bytes: number
  readonly createdAt: number
  readonly state: OutboxState
  /** Why it is still there, as a sentence with its code. */
  readonly reason: string
  readonly retryAt: number | null
}

export type InboxRow = {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly token: string
  readonly bytes: number
  readonly sentAt: number | null
  readonly arrivedAt: number
  readonly state: InboxState
  /** Times that a consumer has taken it. */
  readonly attempts: number
  readonly leaseUntil: number | null
  /** Why the last attempt failed, or why it is dead. */
  readonly error: string | null
}

/** The first 4 KiB of the data. */
export type Preview = {
  /** `hex` for data that is not text: two digits a byte, without spaces. */
  readonly type: 'text' | 'hex'
  readonly text: string
  /** Of all the data. */
  readonly bytes: number
  readonly isWhole: boolean
}

/** One step of a message's life; `at` is null where it was not written down. */
export type TimelineStep = { readonly at: number | null; readonly what: string }

/** `api/outbox/ID` and `api/inbox/ID` (the inbox finds dead letters too). */
export type Message<Row> = {
  readonly row: Row
  /** The JSON text of the column, as it is. */
  readonly headers: string | null
  readonly preview: Preview
  /** In order of time. */
  readonly story: readonly TimelineStep[]
}
export type OutboxMessage = Message<OutboxRow>
export type InboxMessage = Message<InboxRow>

/** The answer to a POST that did what it should. */
export type ActionResult = { readonly done: true; readonly sentence: string }

/** The body of every answer that is not 2xx. */
export type ApiFailure = {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string }
}
