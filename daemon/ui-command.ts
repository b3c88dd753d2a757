/**
 * The command `tinymq ui`: where the status page of a database's daemon is, and a browser on it.
 * Must never start anything but a browser.
 */
import { spawn } from 'node:child_process'
import { get } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isThere } from '../sdk/database.ts'
import { fromSqlite, TinymqError } from '../sdk/errors.ts'
import {
  databaseOf,
  databaseOption,
  databaseUsage,
  problemOf,
  type Environment,
} from './command-line.ts'
import { realPath } from './database-file.ts'
import { readPageToken } from './page-token.ts'
import { holderOf, type Holder } from './instance-lock.ts'
import { showAddress } from './protocol/address.ts'
import type { Address } from './protocol/node-io.ts'

const usage = `Usage: tinymq ui [database] [--print] [--json]

Opens the status page of the daemon of this database in a browser, and prints its address. Who may
read the database may see the page: the address has a token, which is for nobody else.

${databaseUsage}
  --print    only print the address
  --json     one object: url, or null and a sentence

It ends with 0 when there is a page, 1 when there is none, 64 when it was called wrongly.
`

const answerMs = 3_000

export type UiIo = {
  readonly environment: Environment
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Whether a person looks at stdout. */
  readonly isTerminal: boolean
}

type Request = { readonly database: string; readonly print: boolean; readonly json: boolean }

/** Where the page is, or why there is none and what to do. */
type Answer = { readonly url: string } | { readonly url: null; readonly sentence: string }

/** The number that the process should end with. */
export async function uiCommand(args: readonly string[], io: UiIo): Promise<number> {
  const request = parse(args, io)
  if (request === undefined) return 64
  if (request === 'help') {
    io.out(usage)
    return 0
  }
  const answer = await find(request.database)
  if (request.json) io.out(`${JSON.stringify(answer)}\n`)
  else if (answer.url !== null) io.out(`${answer.url}\n`)
  else io.err(`tinymq ui: ${answer.sentence}\n`)
  if (answer.url === null) return 1
  if (!request.print && !request.json && io.isTerminal) openBrowser(answer.url, io)
  return 0
}

function parse(args: readonly string[], { environment, err }: UiIo): Request | 'help' | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        database: databaseOption,
        print: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help === true) return 'help'
    const database = databaseOf(values.database, positionals, environment)
    return { database, print: values.print, json: values.json }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    err(`tinymq ui: ${problemOf(error)}\n${usage}`)
    return undefined
  }
}

async function find(database: string): Promise<Answer> {
  const none = (sentence: string): Answer => ({ url: null, sentence })
  let holder: Holder | undefined
  try {
    if (isThere(database)) holder = holderOf(realPath(database))
  } catch (cause) {
    const error = fromSqlite(cause)
    if (!(error instanceof TinymqError)) throw error
    return none(`${error.message.replace(/\.$/, '')}. ${error.hint}`)
  }
  if (holder === undefined) {
    return none(`no daemon has ${database}: start it (tinymq 9000 ${database}), or name another.`)
  }
  const { name, page } = holder
  if (page === undefined) {
    const why = 'its status page is off, or its port was taken when it started, as its log says'
    return none(`the daemon (${name}) has ${database}, and ${why}: start it with --http 9001.`)
  }
  if (!(await isAnswering(page))) {
    const isElsewhere = !name.includes(` on ${hostname()},`)
    const advice = isElsewhere
      ? 'it runs in a container or on another machine: publish the port there, with a password'
      : 'it hangs or the machine is overloaded: look at its log'
    return none(`nothing answers at ${urlOf(page)}, where the daemon (${name}) says: ${advice}.`)
  }
  const token = readPageToken(realPath(database))
  return { url: token === undefined ? urlOf(page) : `${urlOf(page)}#token=${token}` }
}

/** Who listens on every address is asked on the one that every machine has. */
function reachable({ ip, port }: Address): Address {
  if (ip === '0.0.0.0') return { ip: '127.0.0.1', port }
  return ip === '::' ? { ip: '::1', port } : { ip, port }
}

const urlOf = (page: Address): string => `http://${showAddress(reachable(page))}/`

/** Any answer will do: with a password, that it wants one. */
async function isAnswering(page: Address): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const asked = get(`${urlOf(page)}healthz`, { timeout: answerMs }, (response) => {
    response.resume()
    resolve(true)
  })
  asked.on('timeout', () => asked.destroy())
  asked.on('close', () => resolve(false))
  asked.on('error', () => resolve(false))
  const isAnswered = await promise
  asked.destroy()
  return isAnswered
}

/**
 * Where there is no screen, the address that was printed must do. The browser gets a file that
 * leads to it: everybody on the machine may see the command line of a program, and the token in it.
 */
function openBrowser(url: string, { environment }: UiIo): void {
  const hasScreen = Boolean(environment['DISPLAY'] || environment['WAYLAND_DISPLAY'])
  if (process.platform !== 'darwin' && !hasScreen) return
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const browser = spawn(program, [leadingTo(url, environment)], { stdio: 'ignore', detached: true })
  browser.on('error', () => {})
  browser.unref()
}

/** A page that nobody else may read. It stays until the user's next login, or reboot. */
function leadingTo(url: string, { XDG_RUNTIME_DIR: own }: Environment): string {
  if (!url.includes('#')) return url
  const folder = own ?? mkdtempSync(join(tmpdir(), 'tinymq-ui-'))
  const path = join(folder, 'tinymq-ui.html')
  rmSync(path, { force: true })
  const meta = `<meta http-equiv="refresh" content="0; url=${url}">`
  const html = `<!doctype html>${meta}<a href="${url}">tinymq</a>`
  writeFileSync(path, html, { mode: 0o600, flag: 'wx' })
  return path
}
