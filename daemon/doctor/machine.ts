/** The machine: the daemon, its port, what the system gives to UDP. Must never open a session. */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { examine } from '../health.ts'
import { errorFinding, okFinding, splitAdvice, warnFinding, type Finding } from './finding.ts'

const answerMs = 3_000
const bufferBytesMin = 2 * 1024 ** 2

export async function daemonFinding(database: string, port: number): Promise<Finding[]> {
  const health = await examine(database, answerMs)
  const { sentence, fix } = splitAdvice(health.sentence)
  if (health.healthy) {
    if (health.code === undefined) return [okFinding('daemon', health.sentence)]
    return [warnFinding('daemon', `${sentence}.`, fix)]
  }
  const down = errorFinding('daemon', `${sentence} (${health.code}).`, fix)
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
