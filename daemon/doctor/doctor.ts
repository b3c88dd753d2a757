/**
 * The command `tinymq doctor`: looks at everything that may keep messages from moving, and says of
 * each fault what to do about it. Must never change anything, and works with the daemon up or down.
 */
import { parseArgs } from 'node:util'
import {
  databaseOf,
  databaseOption,
  databaseUsage,
  problemOf,
  type Environment,
} from '../command-line.ts'
import { realPath, surroundings } from '../database-file.ts'
import { holderOf } from '../instance-lock.ts'
import { options } from '../options.ts'
import { findingText, type Finding } from './finding.ts'
import { bufferFinding, daemonFinding } from './machine.ts'
import { peerFindings } from './peers.ts'
import { placeFindings } from './place.ts'
import { readTables } from './tables.ts'
import { jsonLine } from '../../sdk/cli/terminal.ts'

const usage = `Usage: tinymq doctor [database] [--port PORT] [--thorough] [--json]

Looks at the database, its directory and disk, the daemon and its port, every destination and the
clock, and says of each fault what to do.

${databaseUsage}
  --port     the UDP port that the daemon would take
             (default: ${options.port.variable}, else ${options.port.default})
  --thorough read the whole file for damage, however large it is
  --json     one object a line: level (ok, warn, error), about, sentence, fix

It ends with 0 when there is no error, 1 when there is one, 64 when it was called wrongly.
`

export type DoctorIo = {
  readonly environment: Environment
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

type Request = {
  readonly database: string
  readonly port: number
  readonly thorough: boolean
  readonly json: boolean
}

/** The number that the process should end with. */
export async function doctor(args: readonly string[], io: DoctorIo): Promise<number> {
  const request = parse(args, io)
  if (request === undefined) return 64
  if (request === 'help') {
    io.out(usage)
    return 0
  }
  let hasError = false
  const tell = (findings: readonly Finding[]): void => {
    for (const finding of findings) {
      hasError ||= finding.level === 'error'
      io.out(request.json ? `${jsonLine(finding)}\n` : findingText(finding))
    }
  }
  const { database, port, thorough } = request
  tell(placeFindings(database, surroundings()))
  const tables = readTables(database, Date.now(), thorough)
  tell(tables.findings)
  tell(await daemonFinding(database, port))
  tell(bufferFinding())
  const isUsed = tables.destinations.length > 0
  const ownPort = isUsed ? holderOf(realPath(database))?.address?.port : undefined
  tell(await peerFindings(tables.destinations, { ownPort }))
  return hasError ? 1 : 0
}

function parse(
  args: readonly string[],
  { environment, err }: DoctorIo,
): Request | 'help' | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        database: databaseOption,
        port: { type: 'string' },
        thorough: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help === true) return 'help'
    const text = values.port ?? (environment[options.port.variable] || String(options.port.default))
    const port = options.port.kind.parse(text)
    if ('problem' in port) throw new TypeError(`--port ${port.problem}, not "${text}"`)
    const database = databaseOf(values.database, positionals, environment)
    const { thorough = false, json = false } = values
    return { database, port: port.value, thorough, json }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    err(`tinymq doctor: ${problemOf(error)}\n${usage}`)
    return undefined
  }
}
