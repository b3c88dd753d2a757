/**
 * The command `tinymq doctor`: looks at everything that may keep messages from moving, and says of
 * each fault what to do about it. Must never change anything, and works with the daemon up or down.
 */
import { parseArgs } from 'node:util'
import { realPath, surroundings } from '../database-file.ts'
import { holderOf } from '../instance-lock.ts'
import { options } from '../options.ts'
import { findingText, type Finding } from './finding.ts'
import { bufferFinding, daemonFinding } from './machine.ts'
import { peerFindings } from './peers.ts'
import { placeFindings } from './place.ts'
import { readTables } from './tables.ts'

const usage = `Usage: tinymq doctor [database] [--port PORT] [--thorough] [--json]

Looks at the database, its directory and disk, the daemon and its port, every destination and the
clock, and says of each fault what to do.

  database   the file (default: ${options.database.variable}, else ${options.database.default})
  --port     the UDP port that the daemon would take
             (default: ${options.port.variable}, else ${options.port.default})
  --thorough read the whole file for damage, however large it is
  --json     one object a line: level (ok, warning, bad), about, sentence, fix

It ends with 0 when nothing is bad, 1 when something is, 64 when it was called wrongly.
`

export type DoctorIo = {
  readonly environment: { readonly [variable: string]: string | undefined }
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
  let isBad = false
  const tell = (findings: readonly Finding[]): void => {
    for (const finding of findings) {
      isBad ||= finding.level === 'bad'
      io.out(request.json ? `${JSON.stringify(finding)}\n` : findingText(finding))
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
  return isBad ? 1 : 0
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
        port: { type: 'string' },
        thorough: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help === true) return 'help'
    const [database, extra] = positionals
    if (extra !== undefined) throw new TypeError(`${extra}: one argument too many`)
    const text = values.port ?? (environment[options.port.variable] || String(options.port.default))
    const port = options.port.kind.parse(text)
    if ('problem' in port) throw new TypeError(`--port ${port.problem}, not "${text}"`)
    const fallback = environment[options.database.variable] || options.database.default
    const { thorough = false, json = false } = values
    return { database: database ?? fallback, port: port.value, thorough, json }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    err(`tinymq doctor: ${error.message}\n${usage}`)
    return undefined
  }
}
