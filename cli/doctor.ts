/**
 * The command `tinymq doctor`: looks at everything that may keep messages from moving, and says of
 * each fault what to do about it. Must never change anything, and works with the daemon up or down.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { databaseOf, type JsonFlags, withDatabaseArgument, withJson } from './command-line.ts'
import type { Context } from './context.ts'
import { realPath, surroundings } from '../daemon/platform/files/database-path.ts'
import { holderOf } from '../daemon/platform/files/instance-lock.ts'
import { options } from '../daemon/platform/config/options.ts'
import { findingText, type Finding } from '../daemon/diagnostics/finding.ts'
import { bufferFinding, daemonFinding, pathFindings } from '../daemon/diagnostics/host-checks.ts'
import { peerFindings } from '../daemon/diagnostics/peer-checks.ts'
import { readTables } from '../daemon/diagnostics/database-checks.ts'
import { jsonLine } from '../daemon/platform/text.ts'

type Flags = JsonFlags & { readonly port: number; readonly thorough?: true }

export function addDoctor(program: Command, { terminal, end }: Context): void {
  const { kind, variable, default: usual } = options.port
  const port = new Option('--port <port>', 'the UDP port that the daemon would take')
  const doctor = program
    .command('doctor')
    .description('look for what keeps messages from moving, and say of each fault what to do')
    .addOption(port.env(variable).default(usual).argParser(portOf))
    .option('--thorough', 'read the whole file for damage, however large it is')
    .addHelpText(
      'after',
      '\nA JSON object: level (ok, warn, error), about, sentence, fix.\n' +
        'It ends with 0 when there is no error, 1 when there is one,' +
        ' 64 when it was called wrongly.',
    )
  withJson(withDatabaseArgument(doctor)).action(async (named: string | undefined, flags: Flags) => {
    const tell = async (findings: readonly Finding[]): Promise<void> => {
      for (const finding of findings) {
        if (finding.level === 'error') end(1)
        await terminal.out(flags.json === true ? `${jsonLine(finding)}\n` : findingText(finding))
      }
    }
    await examine(databaseOf(named, doctor), flags, tell)
  })

  function portOf(text: string): number {
    // A variable that is set to nothing is not set.
    const read = kind.parse(text === '' ? String(usual) : text)
    if ('problem' in read) throw new InvalidArgumentError(`It ${read.problem}.`)
    return read.value
  }
}

async function examine(
  database: string,
  { port, thorough = false }: Pick<Flags, 'port'> & { readonly thorough?: boolean },
  tell: (findings: readonly Finding[]) => Promise<void>,
): Promise<void> {
  await tell(pathFindings(database, surroundings()))
  const tables = readTables(database, Date.now(), thorough)
  await tell(tables.findings)
  await tell(await daemonFinding(database, port))
  await tell(bufferFinding())
  const isUsed = tables.destinations.length > 0
  const ownPort = isUsed ? holderOf(realPath(database))?.address?.port : undefined
  await tell(await peerFindings(tables.destinations, { ownPort }))
}
