/**
 * The command `tinymq keys`: makes, lists, checks and renews the keys of a ring. What is for a
 * program, or for the other machine, goes to stdout, what is for people to stderr. Must never take
 * a key as an argument, where `ps` shows it, nor print one that it has not just made.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { nodeEnvironment } from './crypto.ts'
import {
  linesOf,
  ringTextAt,
  withFirstOnly,
  withKey,
  withLastFirst,
  writeRing,
} from './keys-edit.ts'
import { badKeys, dockerSecret, readRing, type RingKey } from './keys-file.ts'
import { nameProblem, parseRing, secretBytes } from './keys-text.ts'
import { options } from './options.ts'
import { hintOf } from './protocol/handshake.ts'
import { describeError, exitCodeOf, StartError } from './start-error.ts'

const usage = `Usage: tinymq keys new NAME             make a key; with --keys, put it into the ring
       tinymq keys list [--json]        names, fingerprints, which one is sent with
       tinymq keys check                whether a daemon would take this ring
       tinymq keys rotate NAME STEP     renew the key of a name without a pause

The steps, each on both machines before the next one begins on either:
  --add       first machine: makes a second key, which is taken from then on, and prints its line
  --add -     other machine: reads that line from stdin
  --switch    the newest key is sent with, the older ones are still taken
  --retire    only the key that is sent with is left

  --keys FILE the ring (default: ${options.keys.variable}, else ${dockerSecret})

A ring has lines of NAME = KEY; NAME is what rows have as token. A daemon reads it again when it
has changed. Fingerprints are no secret: the same at both ends means the same key.

It ends with 0 when all is well, 64 when it was called wrongly, 67 when the ring is not right.
`

export type KeysIo = {
  readonly environment: { readonly [variable: string]: string | undefined }
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly readInput: () => Promise<string>
}

type Request = {
  readonly verb: string
  readonly name: string | undefined
  readonly step: 'add' | 'switch' | 'retire' | undefined
  readonly fromInput: boolean
  readonly json: boolean
  readonly path: string | undefined
}

const exitUsage = 64

/** The number that the process should end with. */
export async function keysCommand(args: readonly string[], io: KeysIo): Promise<number> {
  if (args.length === 0 || args.includes('--help') || args.includes('-h')) {
    const isAsked = args.length > 0
    if (isAsked) io.out(usage)
    else io.err(usage)
    return isAsked ? 0 : exitUsage
  }
  try {
    await perform(parse(args, io), io)
    return 0
  } catch (error) {
    if (error instanceof TypeError) {
      io.err(`tinymq keys: ${error.message}\n${usage}`)
      return exitUsage
    }
    io.err(`${describeError(error)}\n`)
    return exitCodeOf(error)
  }
}

function parse(args: readonly string[], { environment }: KeysIo): Request {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      keys: { type: 'string' },
      json: { type: 'boolean', default: false },
      add: { type: 'boolean', default: false },
      switch: { type: 'boolean', default: false },
      retire: { type: 'boolean', default: false },
    },
  })
  const [verb = '', ...rest] = positionals
  const fromInput = values.add && rest.at(-1) === '-'
  const names = fromInput ? rest.slice(0, -1) : rest
  const expected = verb === 'new' || verb === 'rotate' ? 1 : 0
  if (names.length !== expected) {
    throw new TypeError(expected === 1 ? `${verb} needs one name` : 'one argument too many')
  }
  const steps = (['add', 'switch', 'retire'] as const).filter((step) => values[step])
  if (steps.length > 1 || (steps.length === 1) !== (verb === 'rotate')) {
    throw new TypeError('rotate needs one of --add, --switch and --retire, and nothing else does')
  }
  const fallback = environment[options.keys.variable] || undefined
  const path = values.keys ?? fallback ?? (existsSync(dockerSecret) ? dockerSecret : undefined)
  return { verb, name: names[0], step: steps[0], fromInput, json: values.json, path }
}

async function perform(request: Request, io: KeysIo): Promise<void> {
  const { verb, name = '', json } = request
  switch (verb) {
    case 'new':
      return makeKey(name, request.path, io)
    case 'list':
      return listKeys((await readRing(pathOf(request))).keys, json, io)
    case 'check': {
      const { path, keys } = await readRing(pathOf(request))
      return io.err(`${path}: ${keys.length} keys of ${namesIn(keys).length} names, all right.\n`)
    }
    case 'rotate':
      return rotate(request, name, io)
    default:
      throw new TypeError(`there is no ${verb === '' ? 'command' : `command ${verb}`}`)
  }
}

function pathOf({ path }: Request): string {
  if (path !== undefined) return path
  throw new TypeError(`which ring? Name it with --keys or ${options.keys.variable}`)
}

function newLine(name: string): string {
  const problem = nameProblem(name)
  if (problem !== undefined) throw new TypeError(problem)
  return `${name} = ${randomBytes(secretBytes).toString('base64')}`
}

/** Printed as well: the other machine needs it too. */
function makeKey(name: string, path: string | undefined, { out, err }: KeysIo): void {
  const line = newLine(name)
  if (path === undefined) {
    err('Put this line into the key ring of both machines, and keep it to yourself.\n')
    return out(`${line}\n`)
  }
  const text = checkedText(path)
  if (linesOf(text, name).length > 0) {
    const renewal = `tinymq keys rotate ${name} --add renews it`
    const sentence = `${path} has a key ${name} already: ${renewal}.`
    throw new StartError('TINYMQ_BAD_KEYS', sentence)
  }
  writeRing(path, withKey(text, name, line))
  err(`It is in ${path}. Put this line into the key ring of the other machine too.\n`)
  out(`${line}\n`)
}

async function rotate(request: Request, name: string, io: KeysIo): Promise<void> {
  const path = pathOf(request)
  const text = checkedText(path)
  const count = linesOf(text, name).length
  if (count === 0) throw badKeys(path, [`there is no key ${name} in it`])
  if (request.step === 'add') return addKey(request, path, text, name, io)
  if (count === 1) {
    throw badKeys(path, [`${name} has one key only: begin with tinymq keys rotate ${name} --add`])
  }
  if (request.step === 'switch') {
    writeRing(path, withLastFirst(text, name))
    return io.err(`${name} is sent with the newest of its ${count} keys; all are still taken.\n`)
  }
  writeRing(path, withFirstOnly(text, name))
  io.err(`${name} has one key now; the other machine must have been switched before.\n`)
}

async function addKey(
  { fromInput }: Request,
  path: string,
  text: string,
  name: string,
  { out, err, readInput }: KeysIo,
): Promise<void> {
  const line = fromInput ? (await readInput()).trim() : newLine(name)
  const parsed = parseRing(line)
  const [one] = parsed.lines
  const isOne = parsed.lines.length === 1 && parsed.problems.length === 0 && one?.name === name
  if (!isOne) throw badKeys('stdin', [...parsed.problems, `one line of ${name} = KEY is expected`])
  const after = withKey(text, name, line)
  writeRing(path, after)
  err(`${name} has ${linesOf(after, name).length} keys; the first is sent with as before.\n`)
  if (fromInput) return
  err(`On the other machine: tinymq keys rotate ${name} --add - reads this line.\n`)
  out(`${line}\n`)
}

/** A ring that is not right is not made worse. */
function checkedText(path: string): string {
  const text = ringTextAt(path)
  const { lines, problems } = parseRing(text)
  if (problems.length > 0 && (lines.length > 0 || text.trim() !== '')) throw badKeys(path, problems)
  return text
}

function listKeys(keys: readonly RingKey[], json: boolean, { out }: KeysIo): void {
  const environment = nodeEnvironment()
  const seen = new Set<string>()
  const rows = keys.map((key) => {
    const isFirst = !seen.has(key.name)
    seen.add(key.name)
    const fingerprint = Buffer.from(hintOf(environment, key), 'latin1').toString('hex')
    const { name, line, type } = key
    return { name, fingerprint, use: isFirst ? 'sent with' : 'taken', type, line }
  })
  if (json) return out(`${JSON.stringify(rows)}\n`)
  for (const { name, fingerprint, use, type, line } of rows) {
    out(`${name}\t${fingerprint}\t${use}\t${type}\tline ${line}\n`)
  }
}

function namesIn(keys: readonly RingKey[]): string[] {
  return Array.from(new Set(keys.map(({ name }) => name)))
}
