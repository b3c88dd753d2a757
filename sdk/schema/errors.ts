/**
 * The one error of tinymq, and how errors of SQLite become it. A code is the same in SQL (at the
 * end of what a trigger says), here, in the logs and in the metrics. Nothing here is distinguished
 * by the wording of a sentence: our triggers carry their code, SQLite has its own.
 */

// With which number a program of tinymq ends because of an error: those of sysexits.h, and stable.
// docs/cli.md has the whole table; what only a daemon can run into is in platform/start-error.ts.

/** The command line is wrong. */
export const exitUsage = 64
/** A bug of ours. */
export const exitBug = 70
/** A disk is full or broken. */
export const exitIo = 74
/** Ctrl-C came while something was being printed. */
export const exitInterrupted = 130
/** Nobody reads stdout any more: what a shell reports of a program that SIGPIPE has ended. */
export const exitReaderGone = 141

type Kind = {
  readonly retryable: boolean
  readonly hint: string
  /** Exit status; none for what only the caller of a function can have done. */
  readonly exit?: number
}

const kinds = {
  TINYMQ_INVALID_HOST: { retryable: false, hint: 'Give the name or address of the other machine.' },
  TINYMQ_INVALID_PORT: {
    retryable: false,
    hint: 'Give the UDP port of the other daemon, 1 to 65535.',
  },
  TINYMQ_INVALID_TOKEN: {
    retryable: false,
    hint: 'Give a token of at most 255 bytes, or the empty string.',
  },
  TINYMQ_INVALID_HEADERS: { retryable: false, hint: 'Give a plain object that JSON can express.' },
  TINYMQ_INVALID_UID: { retryable: false, hint: 'Leave the column out.' },
  TINYMQ_INVALID_ID: {
    retryable: false,
    hint:
      'Leave the column out. If you did, a row has the largest id: do what TINYMQ_IDS_SPENT says ' +
      'in docs/troubleshooting.md.',
  },
  TINYMQ_INVALID_DATA: {
    retryable: false,
    hint: 'Give a string or bytes; JSON.stringify turns other values into a string.',
  },
  TINYMQ_INVALID_TEXT: {
    retryable: false,
    hint: 'Repair the string with toWellFormed(), or send it as bytes.',
  },
  TINYMQ_NO_DATA: { retryable: false, hint: 'Give data; an empty message is the empty string.' },
  TINYMQ_TOO_LARGE: {
    retryable: false,
    hint: 'Send it in pieces, or raise message_bytes_max in mqmeta at both ends.',
  },
  TINYMQ_IN_FLIGHT: {
    retryable: false,
    hint: 'Delete the row and insert it again if a double is acceptable.',
  },
  TINYMQ_CANCELLED: { retryable: false, hint: 'Send it again if it should arrive after all.' },
  TINYMQ_NO_SUCH_ROW: {
    retryable: false,
    hint: 'Check the id, and whether the transaction that sent it was committed.',
  },
  TINYMQ_HISTORY_EXPIRED: {
    retryable: false,
    hint: 'Ask sooner: what became of a row is kept for a limited time.',
  },
  TINYMQ_INVALID_PAYLOAD: {
    retryable: false,
    hint: 'Read message.data for what arrived; correct the sender, or the schema.',
  },
  TINYMQ_LEASE_LOST: {
    retryable: false,
    hint: 'Let the handler not block for longer than leaseMs, or make leaseMs longer.',
  },
  TINYMQ_INVALID_ARGUMENT: { retryable: false, hint: 'Correct the call.', exit: exitUsage },
  TINYMQ_CLOSED: { retryable: false, hint: 'Open the database again.' },
  TINYMQ_SCHEMA_NEWER: {
    retryable: false,
    hint: 'Update tinymq here; the file was used by a newer version.',
    exit: 76,
  },
  TINYMQ_FOREIGN_TABLE: {
    retryable: false,
    hint: 'Rename that table, or give tinymq a file of its own.',
    exit: 65,
  },
  TINYMQ_INVALID_ENCODING: { retryable: false, hint: 'Give tinymq a file of its own.', exit: 65 },
  TINYMQ_UNSAFE_FILESYSTEM: {
    retryable: false,
    hint: 'Put the file on a disk of this machine.',
    exit: 72,
  },
  TINYMQ_BUSY: {
    retryable: true,
    hint: 'Try again, and keep write transactions on this file short.',
    exit: 75,
  },
  TINYMQ_DISK_FULL: {
    retryable: true,
    hint: 'Free space on the disk of the database, then try again.',
    exit: exitIo,
  },
  TINYMQ_IDS_SPENT: {
    retryable: false,
    hint:
      'Give that row a smaller id; then UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM ' +
      "mqin) WHERE name = 'mqin', or the same with mqout.",
  },
  TINYMQ_SCRATCH_FULL: {
    retryable: true,
    hint: 'Give temporary files room: SQLITE_TMPDIR names their directory.',
  },
  TINYMQ_IO: {
    retryable: false,
    hint: 'Check the disk, and a quota if there is one; then open the database again.',
    exit: exitIo,
  },
  TINYMQ_CORRUPT: {
    retryable: false,
    hint: 'Check the disk, and restore the file from a backup.',
    exit: 65,
  },
  TINYMQ_NOT_A_DATABASE: {
    retryable: false,
    hint: 'Give the path of a SQLite file, or of a file yet to be made.',
    exit: 65,
  },
  TINYMQ_READ_ONLY: {
    retryable: false,
    hint: 'Allow this user to write to the file and to its directory.',
    exit: 77,
  },
  TINYMQ_NODE_TOO_OLD: {
    retryable: false,
    hint: 'Run the program with Node.js 22.14 or newer.',
    exit: 78,
  },
  TINYMQ_NO_DRIVER: {
    retryable: false,
    hint:
      'Install better-sqlite3 for this platform and Node.js, and keep it and tinymq out of ' +
      'bundles (docs/sdk.md, Bundlers); or bring a connection of your own: open({ db }).',
    exit: 78,
  },
  TINYMQ_SECOND_LIBRARY: {
    retryable: false,
    hint:
      'End the process, and let it use one: npm dedupe leaves one better-sqlite3; or give tinymq ' +
      'the connection that you have, open({ db }).',
  },
  TINYMQ_NO_DATABASE: {
    retryable: false,
    hint: 'Start the daemon, which makes it, or give the path of another one.',
    exit: 66,
  },
  TINYMQ_NO_SCHEMA: {
    retryable: false,
    hint: 'Start the daemon on it, which makes them, or name the database that has them.',
    exit: 66,
  },
  TINYMQ_CANNOT_OPEN: {
    retryable: false,
    hint: 'Check the path and the permissions of its directory.',
    exit: exitIo,
  },
  TINYMQ_TEST_ENVIRONMENT: { retryable: false, hint: 'See docs/testing.md.' },
  TINYMQ_SQLITE: {
    retryable: false,
    hint: 'Correct or drop what SQLite names: a trigger, an index or a view on these tables.',
    exit: exitIo,
  },
} as const satisfies Record<string, Kind>

/** Every code that a `TinymqError` can have. */
export type TinymqErrorCode = keyof typeof kinds

/** What the world or the caller did that tinymq cannot go on with. */
export class TinymqError extends Error {
  override readonly name = 'TinymqError'
  /** What happened, for programs. */
  readonly code: TinymqErrorCode
  /** What to do next, for people. */
  readonly hint: string
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable: boolean

  constructor(code: TinymqErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = kinds[code].hint
    this.retryable = kinds[code].retryable
  }
}

/** The primary result codes of SQLite that say something of their own, by number and by name. */
const sqliteCodes: readonly (readonly [number, string, TinymqErrorCode])[] = [
  [5, 'BUSY', 'TINYMQ_BUSY'],
  [6, 'LOCKED', 'TINYMQ_BUSY'],
  [8, 'READONLY', 'TINYMQ_READ_ONLY'],
  [10, 'IOERR', 'TINYMQ_IO'],
  [11, 'CORRUPT', 'TINYMQ_CORRUPT'],
  [13, 'FULL', 'TINYMQ_DISK_FULL'],
  [14, 'CANTOPEN', 'TINYMQ_CANNOT_OPEN'],
  [18, 'TOOBIG', 'TINYMQ_TOO_LARGE'],
  [26, 'NOTADB', 'TINYMQ_NOT_A_DATABASE'],
]

/** An error as it is thrown, of whatever class. */
type Thrown = Error & { readonly code?: unknown; readonly errcode?: unknown }

/**
 * Whether it is an error. Not by class: test runners have classes of their own in each context, and
 * what Node.js and its addons throw is of another one there.
 */
export function isError(value: unknown): value is Thrown {
  if (typeof value !== 'object' || value === null) return false
  const { message, stack } = value as Partial<Thrown>
  return typeof message === 'string' && typeof stack === 'string'
}

/** Text that goes on in the same sentence: some errors of others end theirs with a full stop. */
export const withoutFullStop = (text: string): string => text.replace(/\.$/, '')

/** What an error says, or the text of what was thrown instead. */
export const messageOf = (error: unknown): string =>
  isError(error) ? error.message : String(error)

function sqliteCode({ code, errcode }: Thrown): TinymqErrorCode | undefined {
  if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') {
    // node:sqlite: the extended result code, the primary one in its low byte.
    return sqliteCodes.find(([number]) => number === (errcode & 0xff))?.[2] ?? 'TINYMQ_SQLITE'
  }
  if (typeof code === 'string' && code.startsWith('SQLITE_')) {
    // better-sqlite3: the name of the extended result code, the primary one first.
    return sqliteCodes.find(([, name]) => name === code.split('_')[1])?.[2] ?? 'TINYMQ_SQLITE'
  }
  return undefined
}

const isCode = (code: string | undefined): code is TinymqErrorCode =>
  code !== undefined && Object.hasOwn(kinds, code)

/**
 * The `TinymqError` for an error that better-sqlite3 or node:sqlite has thrown. What does not come
 * from SQLite is returned as it is.
 */
export function fromSqlite(error: unknown): unknown {
  if (!isError(error) || error instanceof TinymqError) return error
  const code = sqliteCode(error)
  if (code === undefined) return error
  const raised = /tinymq: (?<sentence>.+) \((?<code>TINYMQ_[A-Z_]+)\)$/.exec(error.message)?.groups
  if (raised?.['sentence'] !== undefined && isCode(raised['code'])) {
    return new TinymqError(raised['code'], raised['sentence'], { cause: error })
  }
  return new TinymqError(code, `SQLite says: ${error.message}`, { cause: error })
}

/** ERROR, CONSTRAINT, MISMATCH. */
const statementCodes = new Set([1, 19, 20])

/**
 * Whether a statement has failed and not the database: something of the owner's on the tables (a
 * foreign key, a trigger) does not allow it, and other rows may well be allowed.
 */
export function isStatementFailure(error: unknown): boolean {
  if (!isError(error)) return false
  const { code, errcode } = error
  if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') {
    return statementCodes.has(errcode & 0xff)
  }
  return typeof code === 'string' && /^SQLITE_(?:ERROR|CONSTRAINT|MISMATCH)/.test(code)
}

/** Runs `work`; what it throws of SQLite's comes out as a `TinymqError`. */
export function translated<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw fromSqlite(error)
  }
}

/** Undefined for what only the caller of a function can have done. */
export function exitCodeOfTinymq(code: TinymqErrorCode): number | undefined {
  const kind: Kind = kinds[code]
  return kind.exit
}

// What was thrown, as text. Must never throw, whatever it is given.

const errorCharactersMax = 4_000

/** What was thrown, as the text that is kept in `mqlease` and `mqdead`. */
export function errorText(error: unknown): string {
  const text = isError(error)
    ? (error.stack ?? `${error.name}: ${error.message}`)
    : `not an Error was thrown: ${shown(error)}`
  return text.toWellFormed().replaceAll('\0', '\u{fffd}').slice(0, errorCharactersMax)
}

function shown(value: unknown): string {
  try {
    return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  } catch {
    return Object.prototype.toString.call(value)
  }
}
