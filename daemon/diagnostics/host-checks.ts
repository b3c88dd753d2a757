/** The place of the database: directory, file system, mounts, space. Must never change anything. */
import { createSocket } from 'node:dgram'
import { readFileSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { TinymqError, withoutFullStop } from '../../sdk/schema/errors.ts'
import { cleanupWarning } from '../platform/files/cleanup.ts'
import {
  checkDatabasePath,
  type HostEnvironment,
  realPath,
} from '../platform/files/database-path.ts'
import { ephemeralStorageWarning } from '../platform/files/mounts.ts'
import { StartError } from '../platform/start-error.ts'
import { errorFinding, type Finding, okFinding, warnFinding } from './finding.ts'
import { examine } from './liveness.ts'
import type { Problem } from '../platform/text.ts'

const about = 'directory'
const spaceMin = 64 * 1024 ** 2
const spacePartMin = 0.05

export function pathFindings(path: string, around: HostEnvironment): Finding[] {
  try {
    checkDatabasePath(path, around)
  } catch (error) {
    return [refusal(error)]
  }
  const directory = dirname(realPath(path))
  const lost = ephemeralStorageWarning(realPath(path), around.mounts, around.isContainer)
  const place =
    lost === undefined
      ? okFinding(
          about,
          `${directory} can be written, and its file system keeps SQLite's promises.`,
        )
      : lossWarning(lost)
  const cleanup = cleanupWarning(realPath(path))
  const cleaned = cleanup === undefined ? [] : [lossWarning(cleanup)]
  return [place, ...cleaned, spaceFinding(directory)]
}

function lossWarning({ what, remedy }: Problem): Finding {
  return warnFinding(about, `${what}.`, remedy)
}

function refusal(error: unknown): Finding {
  if (error instanceof StartError) {
    const { what, remedy } = error.problem
    return errorFinding(about, `${withoutFullStop(what)} (${error.code}).`, remedy)
  }
  if (error instanceof TinymqError) {
    return errorFinding(about, `${error.message} (${error.code})`, error.hint)
  }
  throw error
}

function spaceFinding(directory: string): Finding {
  const { bavail, blocks, bsize, ffree, files } = statfsSync(directory)
  const free = bavail * bsize
  const said = `${Math.floor(free / 1024 ** 2)} MiB free, ${percent(bavail, blocks)} of the disk`
  const fix = 'Free space, or move the database: without space nothing can be received or numbered.'
  if (files > 0 && ffree === 0)
    return errorFinding('disk', 'It has no inode left for a new file.', fix)
  if (free < spaceMin) return errorFinding('disk', `${said}.`, fix)
  return bavail < blocks * spacePartMin
    ? warnFinding('disk', `${said}.`, fix)
    : okFinding('disk', `${said}.`)
}

const percent = (part: number, whole: number): string =>
  `${whole === 0 ? 0 : Math.round((100 * part) / whole)} %`

// The machine: the daemon, its port, what the system gives to UDP. Must never open a session.

const answerMs = 3_000
const bufferBytesMin = 2 * 1024 ** 2

export async function daemonFinding(database: string, port: number): Promise<Finding[]> {
  const health = await examine(database, answerMs)
  const { sentence, remedy } = health
  if (health.healthy) {
    if (health.code === undefined) return [okFinding('daemon', `${sentence}.`)]
    return [warnFinding('daemon', `${sentence}.`, remedy)]
  }
  const down = errorFinding('daemon', `${sentence} (${health.code}).`, remedy)
  return health.code === 'TINYMQ_NOT_RUNNING' ? [down, await portFinding(port)] : [down]
}

/** Only when no daemon runs: else it is the daemon's. */
async function portFinding(port: number): Promise<Finding> {
  const socket = createSocket({ type: 'udp4' })
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  socket.bind(port, () => resolve(undefined))
  const problem = await promise
  socket.close()
  if (problem === undefined) return okFinding('port', `UDP port ${port} is free.`)
  const fix = `Find who has it: ss -lunp 'sport = :${port}'; or choose another port.`
  return errorFinding('port', `UDP port ${port} cannot be had (${problem}).`, fix)
}

/** What the kernel lets a socket hold; smaller, and bursts are lost before the daemon sees them. */
export function bufferFinding(): Finding[] {
  const bytes = readLimit('/proc/sys/net/core/rmem_max')
  if (bytes === undefined || bytes >= bufferBytesMin) return []
  const sentence = `The kernel lets a UDP socket hold ${bytes} bytes: fast bursts are lost.`
  const fix = `On the host: sudo sysctl -w net.core.rmem_max=${2 * bufferBytesMin}`
  return [warnFinding('buffers', sentence, fix)]
}

function readLimit(path: string): number | undefined {
  try {
    const bytes = Number(readFileSync(path, 'utf8'))
    return Number.isFinite(bytes) ? bytes : undefined
  } catch {
    // Not Linux, or a container that does not show it.
    return undefined
  }
}
