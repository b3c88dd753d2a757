/**
 * Why a daemon cannot start, and with which number the process then ends. Must never end the
 * process itself.
 */
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import {
  exitBug,
  exitCodeOfTinymq,
  exitUsage,
  isError,
  TinymqError,
  withoutFullStop,
} from '../../sdk/schema/errors.ts'
import { type Problem, problemText } from './text.ts'

/**
 * What only a daemon can run into; what it shares with every user of the tables is a `TinymqError`.
 */
export type StartErrorCode =
  | 'TINYMQ_INVALID_OPTION'
  | 'TINYMQ_INVALID_KEYS'
  | 'TINYMQ_NO_DIRECTORY'
  | 'TINYMQ_SINGLE_FILE_MOUNT'
  | 'TINYMQ_NO_VOLUME'
  | 'TINYMQ_VOLUME_GONE'
  | 'TINYMQ_DATABASE_REMOVED'
  | 'TINYMQ_LOG_REMOVED'
  | 'TINYMQ_PORT_IN_USE'
  | 'TINYMQ_HTTP_PORT_IN_USE'
  | 'TINYMQ_HTTP_PASSWORD_REQUIRED'
  | 'TINYMQ_INVALID_PASSWORD_FILE'
  | 'TINYMQ_INVALID_ADDRESS'
  | 'TINYMQ_ALREADY_RUNNING'
  | 'TINYMQ_TOO_MANY_FILES'

/** The message says what is wrong and what to do about it. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code: StartErrorCode
  readonly problem: Problem

  constructor(code: StartErrorCode, said: string | Problem, options?: ErrorOptions) {
    const problem = typeof said === 'string' ? { what: said, remedy: '' } : said
    super(problemText(problem), options)
    this.code = code
    this.problem = problem
  }
}

/**
 * The numbers are those of sysexits.h, and stable: a supervisor may tell by them what is worth
 * another attempt.
 *
 *    0  stopped by SIGTERM or SIGINT, everything handed over
 *   64  the command line or the environment is wrong, or HTTP would be open without a password
 *   65  the file is not a database, is damaged, or its tables are somebody else's
 *   66  the directory, the volume or the file of the database is not there, or was removed
 *   67  the key ring or the password file cannot be read, others can read it, or it is wrong
 *   69  the UDP or the HTTP port is taken, or the address is not one of this machine
 *   70  our own bug
 *   71  the process may open no more files
 *   72  the file system, or a mount of the file alone, would damage the database
 *   74  the database failed: disk full, disk broken, -wal removed, SQLite
 *   75  another daemon holds the database, or somebody else locks it: worth another attempt
 *   76  the tables belong to a newer version
 *   77  the file or its directory cannot be written
 *   78  Node.js is too old (said by cli/tinymq.js)
 *  130  a second signal came before everything was handed over (128 + 2; 143 for SIGTERM)
 */
const exitCodes: { readonly [Code in StartErrorCode]: number } = {
  TINYMQ_INVALID_OPTION: exitUsage,
  TINYMQ_INVALID_KEYS: 67,
  TINYMQ_NO_DIRECTORY: 66,
  TINYMQ_PORT_IN_USE: 69,
  TINYMQ_HTTP_PORT_IN_USE: 69,
  TINYMQ_HTTP_PASSWORD_REQUIRED: exitUsage,
  TINYMQ_INVALID_PASSWORD_FILE: 67,
  TINYMQ_INVALID_ADDRESS: 69,
  TINYMQ_SINGLE_FILE_MOUNT: 72,
  TINYMQ_NO_VOLUME: 66,
  TINYMQ_VOLUME_GONE: 66,
  TINYMQ_DATABASE_REMOVED: 66,
  TINYMQ_LOG_REMOVED: 74,
  TINYMQ_ALREADY_RUNNING: 75,
  TINYMQ_TOO_MANY_FILES: 71,
}

/** What the threads and the files of a daemon take, and have given back when it fails. */
const filesNeeded = 16

/**
 * `error`, or what is behind it when this process can hardly open a file: Node.js and SQLite then
 * fail wherever they are, each with words of its own.
 */
export function causeOfFailure(error: unknown): unknown {
  const opened: number[] = []
  try {
    while (opened.length < filesNeeded) opened.push(openSync(devNull, 'r'))
    return error
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'EMFILE' && code !== 'ENFILE') return error
    const remedy = 'raise its limit: ulimit -n 1024, or LimitNOFILE= in a unit of systemd'
    const reason = isError(error) ? withoutFullStop(error.message) : String(error)
    const what = `This process can open no more files (${code}; ${reason})`
    const problem = { what, remedy }
    return new StartError('TINYMQ_TOO_MANY_FILES', problem, { cause: error })
  } finally {
    for (const file of opened) closeSync(file)
  }
}

/** How the process ends because of this error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof StartError) return exitCodes[error.code]
  // The codes of a caller's mistakes have none: a daemon makes no such calls.
  if (error instanceof TinymqError) return exitCodeOfTinymq(error.code) ?? exitBug
  return exitBug
}

/**
 * What stderr says about it: one sentence and its code, or all there is to know about a bug of
 * ours.
 */
export function describeError(error: unknown): string {
  if (error instanceof StartError) return `tinymq: ${error.message} (${error.code})`
  if (error instanceof TinymqError) {
    return `tinymq: ${withoutFullStop(error.message)}. ${error.hint} (${error.code})`
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return `tinymq: A bug of its own ended the daemon; nothing in the database is lost. ${detail}`
}
