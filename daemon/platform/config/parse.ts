/**
 * From the command line and the environment to a `Config`; with bin/ the only place that reads the
 * environment. Must never open, create or check what the options name.
 */
import { Command, CommanderError } from 'commander'
import {
  defaultLabel,
  optionEntries,
  optionLabel,
  type Config,
  type Option,
  type OptionName,
} from './options.ts'
import { StartError } from '../start-error.ts'

export type Environment = { readonly [variable: string]: string | undefined }

type CommandLine =
  /** `ignored`: variables that look like ours, and are not. */
  | { readonly type: 'run'; readonly config: Config; readonly ignored: readonly string[] }
  | { readonly type: 'help'; readonly text: string }

/** @throws StartError with everything that is wrong, one problem a line. */
export function readConfig(args: readonly string[]): CommandLine {
  return parseConfig(args, process.env)
}

/** The command line counts before the environment, the environment before the default. */
export function parseConfig(args: readonly string[], environment: Environment): CommandLine {
  const command = createCommand()
  const problems: string[] = []
  const { operands, unknown } = parseFlags(command, args, problems)
  if ([...operands, ...unknown].some((word) => word === '--help' || word === '-h')) {
    return { type: 'help', text: command.helpInformation() }
  }
  const strange = unknown.filter((word) => word.startsWith('-'))
  problems.push(...strange.map((word) => `${word}: there is no such option`))
  const given = { ...command.opts<Texts>(), ...takeArguments(operands, problems) }
  const config = Object.fromEntries(
    optionEntries().map(([name, row]) => [name, valueOf(name, row, given, environment, problems)]),
  ) as Config
  if (problems.length > 0) throw new StartError('TINYMQ_INVALID_OPTION', sentenceOf(problems))
  return { type: 'run', config, ignored: unknownVariables(environment) }
}

type Texts = { [Name in OptionName]?: string }

function createCommand(): Command {
  const command = new Command('tinymq').exitOverride().configureOutput({ writeErr: () => {} })
  command.description('Runs the daemon for one database and one UDP port.')
  for (const [name, row] of optionEntries()) {
    const sentence = `${row.sentence} (default: ${defaultLabel(row)}; ${row.variable})`
    if (row.isArgument === true) command.argument(`[${name}]`, sentence)
    else command.option(`${optionLabel(name)} <${row.kind.placeholder}>`, sentence)
  }
  return command
}

function parseFlags(
  command: Command,
  args: readonly string[],
  problems: string[],
): { operands: string[]; unknown: string[] } {
  try {
    return command.parseOptions([...args])
  } catch (error) {
    // A flag without its value: commander stops at the first.
    if (!(error instanceof CommanderError)) throw error
    problems.push(error.message.replace(/^error: /, ''))
    return { operands: [], unknown: [] }
  }
}

function takeArguments(operands: readonly string[], problems: string[]): Texts {
  const names = optionEntries().flatMap(([name, row]) => (row.isArgument === true ? [name] : []))
  problems.push(...operands.slice(names.length).map((word) => `${word}: one argument too many`))
  return Object.fromEntries(
    names.flatMap((name, place) =>
      operands[place] === undefined ? [] : [[name, operands[place]]],
    ),
  )
}

function valueOf(
  name: OptionName,
  row: Option<unknown>,
  given: Texts,
  environment: Environment,
  problems: string[],
): unknown {
  const variable = environment[row.variable]
  const [label, text] =
    given[name] === undefined ? [row.variable, variable] : [optionLabel(name), given[name]]
  // Compose files set a variable to nothing where nothing was chosen.
  if (text === undefined || (text === '' && label === row.variable)) return row.default
  const parsed = row.kind.parse(text)
  if ('value' in parsed) return parsed.value
  problems.push(`${label} ${parsed.problem}, not "${text}"`)
  return row.default
}

/**
 * Kubernetes describes a service called tinymq to every container next to it: those are not ours.
 */
const foreignVariable = /^TINYMQ_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)|PORT)(?:_|$)/

function unknownVariables(environment: Environment): string[] {
  const known = new Set(optionEntries().map(([, row]) => row.variable))
  return Object.keys(environment).filter(
    (name) => name.startsWith('TINYMQ_') && !known.has(name) && !foreignVariable.test(name),
  )
}

function sentenceOf(problems: readonly string[]): string {
  const [before, after] = problems.length === 1 ? [' ', '. '] : ['\n  ', '\n']
  const list = problems.join('\n  ')
  return `The options are not right:${before}${list}${after}See tinymq daemon --help.`
}
