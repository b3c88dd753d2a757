/**
 * The command `tinymq check`, for Docker's HEALTHCHECK and for monitoring: one line and a number.
 * It runs every few seconds, so it loads as little as it can. `--wait` is for scripts that have
 * just started a daemon. Must never change anything.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  databaseOf,
  databaseOption,
  databaseUsage,
  problemOf,
  type Environment,
} from './command-line.ts'
import { examine, type Health } from './health.ts'

const usage = `Usage: tinymq check [database] [--wait SECONDS] [--json]

Reports whether the daemon of this database answers right now.

${databaseUsage}
  --wait     waits so long, at most, for the daemon to answer
  --json     one object: healthy, database, code (of a fault), sentence

It ends with 0 when all is well, 1 when it is not, 64 when it was called wrongly.
`

const exits = { healthy: 0, unhealthy: 1, badUsage: 64 } as const

/** Docker gives a check ten seconds; a daemon whose loop stands for three serves nobody. */
const answerMs = 3_000

export type CheckIo = {
  readonly environment: Environment
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

const waitSecondsMax = 3_600
const pollMs = 50

type Request = {
  readonly database: string
  readonly waitMs: number
  readonly json: boolean
  readonly help: boolean
}

/** The number that the process should end with. */
export async function check(args: readonly string[], io: CheckIo): Promise<number> {
  const request = parse(args, io)
  if (request === undefined) return exits.badUsage
  if (request.help) {
    io.out(usage)
    return exits.healthy
  }
  const health = await examineUntil(request.database, performance.now() + request.waitMs)
  io.out(request.json ? `${JSON.stringify(health)}\n` : textOf(health))
  return health.healthy ? exits.healthy : exits.unhealthy
}

/** A file that is not there yet, or not ours yet, may be so in a moment. */
async function examineUntil(database: string, endMs: number): Promise<Health> {
  for (;;) {
    const health = await examine(database, answerMs)
    if (health.healthy || performance.now() >= endMs) return health
    await sleep(pollMs)
  }
}

function parse(args: readonly string[], { environment, err }: CheckIo): Request | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        database: databaseOption,
        wait: { type: 'string', default: '0' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    const database = databaseOf(values.database, positionals, environment)
    const { wait, json = false, help = false } = values
    const seconds = Number(wait)
    if (wait === '' || !(seconds >= 0 && seconds <= waitSecondsMax)) {
      throw new TypeError(`--wait must be a number of seconds, 0 to ${waitSecondsMax}`)
    }
    return { database, waitMs: seconds * 1_000, json, help }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    err(`tinymq check: ${problemOf(error)}\n${usage}`)
    return undefined
  }
}

function textOf(health: Health): string {
  if (health.healthy) return `healthy: ${health.sentence}\n`
  return `not healthy: ${health.sentence} (${health.code})\n`
}
