/**
 * Whether the daemon of a database does its work right now: the tables are there and ours, a living
 * process has them, and it answers. Must never change anything, nor make a file.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import {
  fromSqlite,
  TinymqError,
  type TinymqErrorCode,
  withoutFullStop,
} from '../../sdk/schema/errors.ts'
import { tablesVersion } from '../../sdk/schema/migrate.ts'
import { isThere } from '../../sdk/schema/open-database.ts'
import { realPath } from '../platform/files/database-path.ts'
import { readHealth } from '../platform/files/health-file.ts'
import { type Holder, holderOf } from '../platform/files/instance-lock.ts'
import { decodePacket, hello1Bytes, toConnectionId } from '../protocol/codec/packet.ts'
import type { Address } from '../protocol/io.ts'
import { problemText } from '../platform/text.ts'

type HealthCode =
  | 'TINYMQ_NO_DATABASE'
  | 'TINYMQ_NO_SCHEMA'
  | 'TINYMQ_NOT_RUNNING'
  | 'TINYMQ_STARTING'
  | 'TINYMQ_NO_ANSWER'
  | TinymqErrorCode

/**
 * `sentence` is for people, without a full stop; `remedy` is what to do, '' for nothing. `database`
 * is the path as it was given. A healthy daemon has a `code` when it works under a fault that it
 * can bear.
 */
export type Health = {
  readonly database: string
  readonly sentence: string
  readonly remedy: string
} & (
  | { readonly healthy: true; readonly code?: HealthCode }
  | { readonly healthy: false; readonly code: HealthCode }
)

/** In one line, for people. */
export const healthText = ({ sentence, remedy }: Health): string =>
  problemText({ what: sentence, remedy })

/** Resolves when the answer is known; without one after `withinMs`. */
export async function examine(database: string, withinMs: number): Promise<Health> {
  const unhealthy = (code: HealthCode, sentence: string, remedy: string): Health => {
    return { healthy: false, database, code, sentence, remedy }
  }
  const startIt = `start the daemon (tinymq 9000 ${database}), or name the database that it has`
  try {
    if (!isThere(database)) {
      return unhealthy('TINYMQ_NO_DATABASE', `There is no file ${database}`, startIt)
    }
    const holder = holderOf(realPath(database))
    if (holder === undefined) {
      return unhealthy('TINYMQ_NOT_RUNNING', `No daemon has ${database}`, startIt)
    }
    // Only next to a daemon: with nobody there, SQLite makes -wal and -shm even to read.
    if (versionIn(database) === 0) {
      const sentence = `There are no tables of tinymq in ${database}`
      return unhealthy('TINYMQ_NO_SCHEMA', sentence, 'restart the daemon')
    }
    const { name, address } = holder
    if (address === undefined) {
      return unhealthy('TINYMQ_STARTING', `A daemon is just starting (${name})`, 'wait a moment')
    }
    if (!(await isAnswering(address, withinMs))) {
      const sentence = `The daemon (${name}) does not answer on UDP port ${address.port}`
      const within = `${sentence} for ${withinMs} ms`
      return unhealthy('TINYMQ_NO_ANSWER', within, silenceRemedy(holder))
    }
    const sentence = `The daemon (${name}) answers on UDP port ${address.port}`
    const fault = readHealth(realPath(database))
    if (fault === undefined) return { healthy: true, database, sentence, remedy: '' }
    const { code, level, sentence: what, hint } = fault
    const remedy = withoutFullStop(hint)
    if (level !== 'warn') {
      return unhealthy(code, `${sentence}, but sends and receives nothing, for ${what}`, remedy)
    }
    return { healthy: true, database, code, sentence: `${sentence}, but ${what} (${code})`, remedy }
  } catch (cause) {
    const error = fromSqlite(cause)
    if (!(error instanceof TinymqError)) throw error
    return unhealthy(error.code, withoutFullStop(error.message), withoutFullStop(error.hint))
  }
}

const silenceRemedy = ({ host }: Holder): string =>
  host === hostname()
    ? 'it hangs or the machine is overloaded: look at its log, and restart it if that goes on'
    : 'ask where it runs (docker exec CONTAINER tinymq check); here its port cannot be reached'

/** @throws TinymqError when the file is not a database, or its tables are not ours or are newer. */
function versionIn(path: string): number {
  const db = new Database(path, { readonly: true, fileMustExist: true })
  try {
    return tablesVersion(db)
  } finally {
    db.close()
  }
}

// Asks a daemon of this machine for a sign of life over its UDP port: a handshake in a version that
// nobody speaks, which every daemon answers with the versions that it does (PROTOCOL §3.5), without
// a session and without any state. Must never send anything that opens one.

const helloType = 0x10
/** Of the version nobody will ever speak: in every version the first ten bytes are the same. */
const noVersion = 0xff

/** A datagram or its answer may be lost when the system is short of buffers. */
const repeatMs = 250

/** Whether an answer comes within this time; `address` as the daemon announced it. */
export async function isAnswering(address: Address, withinMs: number): Promise<boolean> {
  return (await probe(address, withinMs)) === 'answer'
}

/** `{ code }`: the system of this machine does not send there, and says why. */
type Liveness = 'answer' | 'silence' | { readonly code: string }

export async function probe({ ip, port }: Address, withinMs: number): Promise<Liveness> {
  const scid = randomBytes(8)
  const hello = Buffer.alloc(hello1Bytes)
  hello.set([helloType, noVersion, ...scid])
  const target = reachable(ip)
  const socket = createSocket(target.includes(':') ? 'udp6' : 'udp4')
  const { promise, resolve } = Promise.withResolvers<Liveness>()
  let unsent: Liveness | undefined
  socket.on('message', (bytes, from) => {
    const packet = decodePacket(bytes)
    if (from.port !== port || packet?.type !== 'versions') return
    if (packet.dcid === toConnectionId(scid)) resolve('answer')
  })
  // The system cannot send at all: the time runs out.
  socket.on('error', () => {})
  const ask = (): void =>
    socket.send(hello, port, target, (error: NodeJS.ErrnoException | null) => {
      unsent = error === null ? undefined : { code: error.code ?? error.message }
    })
  const repeat = setInterval(ask, repeatMs)
  const end = setTimeout(() => resolve(unsent ?? 'silence'), withinMs)
  ask()
  try {
    return await promise
  } finally {
    clearInterval(repeat)
    clearTimeout(end)
    socket.close()
  }
}

/** Who listens on every address is asked on the one that every machine has. */
function reachable(ip: string): string {
  return ip === '::' || ip === '0.0.0.0' ? '127.0.0.1' : ip
}
