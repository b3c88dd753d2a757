/**
 * The command `tinymq keys`: makes, lists, checks and renews the keys of a ring. What is for a
 * program, or for the other machine, goes to stdout, what is for people to stderr. Must never take
 * a key as an argument, where `ps` shows it, nor print one that it has not just made.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { type Command, Option } from 'commander'
import { invalid, type JsonFlags, withJson } from './command-line.ts'
import type { Context } from './context.ts'
import type { Terminal } from './output.ts'
import { nodeEnvironment } from '../daemon/node-crypto.ts'
import { ifThere } from '../sdk/schema/database-files.ts'
import { options } from '../daemon/platform/config/options.ts'
import { badKeys, dockerSecret, readRing, type RingKey } from '../daemon/platform/keys/key-file.ts'
import {
  nameProblem,
  parseRing,
  type RingLine,
  secretBytes,
} from '../daemon/platform/keys/parse.ts'
import { StartError } from '../daemon/platform/start-error.ts'
import { keyIdOf } from '../daemon/protocol/crypto/handshake.ts'

type RingFlags = { readonly keys?: string }
type Step = 'add' | 'switch' | 'retire'

const steps = `
The steps of rotate, each on both machines before the next one begins on either:
  --add       first machine: makes a second key, which is taken from then on, and prints its line
  --add -     other machine: reads that line from stdin
  --switch    the newest key is sent with, the older ones are still taken
  --retire    only the key that is sent with is left
`

const ending = `
A ring has lines of NAME = KEY; NAME is what rows have as token. A daemon reads it again when it
has changed. Fingerprints are no secret: the same at both ends means the same key.

It ends with 0 when all is well, 64 when it was called wrongly, 67 when the ring is not right.`

export function addKeys(program: Command, { terminal }: Context): void {
  const { environment } = terminal
  const keys = program
    .command('keys')
    .description('make, list, check and renew the keys of a ring')
    .addHelpText('after', steps + ending)
  withRing(keys.command('new <name>'))
    .description('make a key; with --keys, put it into the ring')
    .action(async (name: string, flags: RingFlags) =>
      makeKey(name, pathIn(flags, environment), terminal),
    )
  withJson(withRing(keys.command('list')))
    .description('names, fingerprints, which one is sent with')
    .action(async (flags: RingFlags & JsonFlags) => {
      const ring = await readRing(pathOf(flags, environment))
      await listKeys(ring.keys, flags.json === true, terminal)
    })
  withRing(keys.command('check'))
    .description('whether a daemon would take this ring')
    .action(async (flags: RingFlags) => {
      const { path, keys: found } = await readRing(pathOf(flags, environment))
      const names = namesIn(found).length
      terminal.say(`${path}: ${found.length} keys of ${names} names, all right.\n`)
    })
  withRing(keys.command('rotate <name> [-]'))
    .description('renew the key of a name without a pause')
    .addOption(new Option('--add', 'a second key').conflicts(['switch', 'retire']))
    .addOption(new Option('--switch', 'send with the newest').conflicts('retire'))
    .option('--retire', 'leave only the key that is sent with')
    .addHelpText('after', steps)
    .action(
      async (
        name: string,
        dash: string | undefined,
        flags: RingFlags & { [step in Step]?: true },
      ) => rotate(name, dash, flags, pathOf(flags, environment), terminal),
    )
}

function withRing(command: Command): Command {
  const usual = `default: ${options.keys.variable}, else ${dockerSecret}`
  return command.option('--keys <file>', `the ring (${usual})`)
}

function pathIn({ keys }: RingFlags, environment: Terminal['environment']): string | undefined {
  const named = keys ?? (environment[options.keys.variable] || undefined)
  return named ?? (existsSync(dockerSecret) ? dockerSecret : undefined)
}

/** @throws TinymqError when nobody has named one. */
function pathOf(flags: RingFlags, environment: Terminal['environment']): string {
  const path = pathIn(flags, environment)
  if (path !== undefined) return path
  throw invalid(`which ring? Name it with --keys or ${options.keys.variable}`)
}

function newLine(name: string): string {
  const problem = nameProblem(name)
  if (problem !== undefined) throw invalid(problem)
  return `${name} = ${randomBytes(secretBytes).toString('base64')}`
}

/** Printed as well: the other machine needs it too. */
async function makeKey(
  name: string,
  path: string | undefined,
  { out, say }: Terminal,
): Promise<void> {
  const line = newLine(name)
  if (path === undefined) {
    say('Put this line into the key ring of both machines, and keep it to yourself.\n')
    await out(`${line}\n`)
    return
  }
  const text = checkedText(path)
  if (linesOf(text, name).length > 0) {
    const renewal = `tinymq keys rotate ${name} --add renews it`
    const sentence = `${path} has a key ${name} already: ${renewal}.`
    throw new StartError('TINYMQ_INVALID_KEYS', sentence)
  }
  writeRing(path, withKey(text, name, line))
  say(`It is in ${path}. Put this line into the key ring of the other machine too.\n`)
  await out(`${line}\n`)
}

async function rotate(
  name: string,
  dash: string | undefined,
  flags: { readonly [step in Step]?: true },
  path: string,
  terminal: Terminal,
): Promise<void> {
  const fromInput = dash === '-' && flags.add === true
  if (dash !== undefined && !fromInput) throw invalid(`${dash}: one argument too many`)
  if (flags.add !== true && flags.switch !== true && flags.retire !== true) {
    throw invalid('rotate needs one of --add, --switch and --retire')
  }
  const text = checkedText(path)
  const count = linesOf(text, name).length
  if (count === 0) throw badKeys(path, [`there is no key ${name} in it`])
  if (flags.add === true) return addKey(fromInput, path, text, name, terminal)
  if (count === 1) {
    throw badKeys(path, [`${name} has one key only: begin with tinymq keys rotate ${name} --add`])
  }
  if (flags.switch === true) {
    writeRing(path, withLastFirst(text, name))
    return terminal.say(
      `${name} is sent with the newest of its ${count} keys; all are still taken.\n`,
    )
  }
  writeRing(path, withFirstOnly(text, name))
  terminal.say(`${name} has one key now; the other machine must have been switched before.\n`)
}

async function addKey(
  fromInput: boolean,
  path: string,
  text: string,
  name: string,
  { out, say, input }: Terminal,
): Promise<void> {
  const line = fromInput ? (await textOf(input)).trim() : newLine(name)
  const parsed = parseRing(line)
  const [one] = parsed.lines
  const isOne = parsed.lines.length === 1 && parsed.problems.length === 0 && one?.name === name
  if (!isOne) throw badKeys('stdin', [...parsed.problems, `one line of ${name} = KEY is expected`])
  const after = withKey(text, name, line)
  writeRing(path, after)
  say(`${name} has ${linesOf(after, name).length} keys; the first is sent with as before.\n`)
  if (fromInput) return
  say(`On the other machine: tinymq keys rotate ${name} --add - reads this line.\n`)
  await out(`${line}\n`)
}

/** A ring that is not right is not made worse. */
function checkedText(path: string): string {
  const text = ringTextAt(path)
  const { lines, problems } = parseRing(text)
  if (problems.length > 0 && (lines.length > 0 || text.trim() !== '')) throw badKeys(path, problems)
  return text
}

async function listKeys(keys: readonly RingKey[], json: boolean, { out }: Terminal): Promise<void> {
  const environment = nodeEnvironment()
  const seen = new Set<string>()
  const rows = keys.map((key) => {
    const isFirst = !seen.has(key.name)
    seen.add(key.name)
    const fingerprint = Buffer.from(keyIdOf(environment, key), 'latin1').toString('hex')
    const { name, line, type } = key
    return { name, fingerprint, use: isFirst ? 'sent with' : 'taken', type, line }
  })
  const lines = json
    ? rows.map((row) => JSON.stringify(row))
    : rows.map(({ name, fingerprint, use, type, line }) =>
        [name, fingerprint, use, type, `line ${line}`].join('\t'),
      )
  await out(lines.map((line) => `${line}\n`).join(''))
}

function namesIn(keys: readonly RingKey[]): string[] {
  return Array.from(new Set(keys.map(({ name }) => name)))
}

// Changes the text of a key ring line by line, so that comments and everything else stay as they
// are, and writes it so that a daemon reads the old ring or the new one, never half of it. Must
// never lose a key that it was not asked to drop.

/**
 * The text of a ring that is there; '' when there is none yet.
 * @throws StartError
 */
function ringTextAt(path: string): string {
  try {
    return ifThere(() => readFileSync(path, 'utf8')) ?? ''
  } catch (cause) {
    throw unusable(path, 'read', cause)
  }
}

/** The lines of one name, in their order. */
export function linesOf(text: string, name: string): RingLine[] {
  return parseRing(text).lines.filter((line) => line.name === name)
}

/** The new key comes behind the others of its name: it is taken, and not sent with yet. */
export function withKey(text: string, name: string, line: string): string {
  const lines = splitLines(text)
  const last = linesOf(text, name).at(-1)
  lines.splice(last === undefined ? lines.length : last.line, 0, line)
  return joinLines(lines)
}

/** The last key of the name comes first: it is sent with from now on. */
function withLastFirst(text: string, name: string): string {
  const lines = splitLines(text)
  const own = linesOf(text, name)
  const [first, last] = [own[0], own.at(-1)]
  if (first === undefined || last === undefined || first === last) return text
  const [moved] = lines.splice(last.line - 1, 1)
  lines.splice(first.line - 1, 0, moved ?? '')
  return joinLines(lines)
}

/** Of the name only the first key is left. */
function withFirstOnly(text: string, name: string): string {
  const dropped = new Set(
    linesOf(text, name)
      .slice(1)
      .map(({ line }) => line - 1),
  )
  return joinLines(splitLines(text).filter((_, index) => !dropped.has(index)))
}

/**
 * Mode 600, or that of the file that was there, and its owner. The ring and its directory must be
 * ours: who may write in the directory could have root give him a file of root's.
 * @throws StartError
 */
export function writeRing(path: string, text: string): void {
  try {
    const target = ifThere(() => realpathSync(path)) ?? path
    const before = statSync(target, { throwIfNoEntry: false })
    refuseForeign(path, target, before)
    const fresh = `${target}.${process.pid}.new`
    const file = openSync(fresh, 'wx', 0o600)
    try {
      writeSync(file, text)
      if (before !== undefined) giveTo(file, before)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(fresh, target)
    syncDirectory(dirname(target))
  } catch (cause) {
    throw cause instanceof StartError ? cause : unusable(path, 'written', cause)
  }
}

function unusable(path: string, what: 'read' | 'written', cause: unknown): StartError {
  const sentence = `The key ring ${path} cannot be ${what}: ${(cause as Error).message}.`
  return new StartError('TINYMQ_INVALID_KEYS', sentence, { cause })
}

function giveTo(file: number, { uid, gid, mode }: Stats): void {
  const fresh = fstatSync(file)
  if (fresh.uid !== uid || fresh.gid !== gid) fchownSync(file, uid, gid)
  fchmodSync(file, mode & 0o777)
}

/** As a ring is rejected that is read: of somebody else's, what is right may change at any time. */
function refuseForeign(path: string, target: string, ring: Stats | undefined): void {
  const own = process.geteuid?.()
  if (own === undefined) return
  const directory = dirname(target)
  const stats = statSync(directory, { throwIfNoEntry: false })
  const isOurs = (uid: number): boolean => uid === own || uid === 0
  const problem = (what: string, uid: number): StartError =>
    new StartError(
      'TINYMQ_INVALID_KEYS',
      `The key ring ${path} is not written: ${what} belongs to uid ${uid}, and this process ` +
        `runs as ${own}. Run the command as that user (sudo -u '#${uid}' tinymq keys …), or ` +
        `give it to this one with chown.`,
    )
  if (ring !== undefined && !isOurs(ring.uid)) throw problem('it', ring.uid)
  if (stats === undefined || isOurs(stats.uid)) return
  throw problem(`its directory ${directory}`, stats.uid)
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function splitLines(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
}

function joinLines(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}
