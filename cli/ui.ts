/**
 * The command `tinymq ui`: where the status page of a database's daemon is, and a browser on it.
 * Must never start anything but a browser.
 */
import { spawn } from 'node:child_process'
import { get } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { isThere } from '../sdk/schema/open-database.ts'
import { fromSqlite, TinymqError, withoutFullStop } from '../sdk/schema/errors.ts'
import { databaseOf, type JsonFlags, withDatabaseArgument, withJson } from './command-line.ts'
import type { Context } from './context.ts'
import type { Terminal } from './output.ts'
import { realPath } from '../daemon/platform/files/database-path.ts'
import { readPageToken } from '../daemon/platform/files/page-token.ts'
import { holderOf, type Holder } from '../daemon/platform/files/instance-lock.ts'
import { type Address, showAddress } from '../daemon/protocol/io.ts'

const answerMs = 3_000

type Flags = JsonFlags & { readonly print?: true }

/** Where the page is, or why there is none and what to do. */
type Answer = { readonly url: string } | { readonly url: null; readonly sentence: string }

export function addUi(program: Command, { terminal, end }: Context): void {
  const ui = program
    .command('ui')
    .description(
      'open the status page of the daemon in a browser, and print its address: who may read the' +
        ' database may see the page, and the token in the address is for nobody else',
    )
    .option('--print', 'only print the address')
    .addHelpText(
      'after',
      '\nThe JSON object: url, or null and a sentence.\n' +
        'It ends with 0 when there is a page, 1 when there is none, 64 when it was called wrongly.',
    )
  withJson(withDatabaseArgument(ui)).action(
    async (named: string | undefined, { print, json }: Flags) => {
      const answer = await find(databaseOf(named, ui))
      if (json === true) await terminal.out(`${JSON.stringify(answer)}\n`)
      else if (answer.url !== null) await terminal.out(`${answer.url}\n`)
      else terminal.say(`tinymq ui: ${answer.sentence}\n`)
      if (answer.url === null) return end(1)
      const mayOpen = print !== true && json !== true && terminal.outIsTerminal
      if (mayOpen) openBrowser(answer.url, terminal)
    },
  )
}

async function find(database: string): Promise<Answer> {
  const none = (sentence: string): Answer => ({ url: null, sentence })
  let holder: Holder | undefined
  try {
    if (isThere(database)) holder = holderOf(realPath(database))
  } catch (cause) {
    const error = fromSqlite(cause)
    if (!(error instanceof TinymqError)) throw error
    return none(`${withoutFullStop(error.message)}. ${error.hint}`)
  }
  if (holder === undefined) {
    return none(`no daemon has ${database}: start it (tinymq 9000 ${database}), or name another.`)
  }
  const { name, host, page } = holder
  if (page === undefined) {
    const why = 'its status page is off, or its port was taken when it started, as its log says'
    return none(`the daemon (${name}) has ${database}, and ${why}: start it with --http 9001.`)
  }
  if (!(await isAnswering(page))) {
    const isElsewhere = host !== hostname()
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
function openBrowser(url: string, { environment }: Terminal): void {
  const hasScreen = Boolean(environment['DISPLAY'] || environment['WAYLAND_DISPLAY'])
  if (process.platform !== 'darwin' && !hasScreen) return
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const browser = spawn(program, [leadingTo(url, environment)], { stdio: 'ignore', detached: true })
  browser.on('error', () => {})
  browser.unref()
}

/** A page that nobody else may read. It stays until the user's next login, or reboot. */
function leadingTo(url: string, { XDG_RUNTIME_DIR: own }: Terminal['environment']): string {
  if (!url.includes('#')) return url
  const folder = own ?? mkdtempSync(join(tmpdir(), 'tinymq-ui-'))
  const path = join(folder, 'tinymq-ui.html')
  rmSync(path, { force: true })
  const meta = `<meta http-equiv="refresh" content="0; url=${url}">`
  const html = `<!doctype html>${meta}<a href="${url}">tinymq</a>`
  writeFileSync(path, html, { mode: 0o600, flag: 'wx' })
  return path
}
