#!/usr/bin/env node
// The program `tinymq`: checks the version of Node.js before anything else is loaded (older ones
// crash in the database driver), then hands over. Plain JavaScript that Node.js 12 can read: no
// static import, no `?.`, no `??`.

const usage = `Usage: tinymq [port] [database]  run the daemon: tinymq 9000 /var/lib/tinymq/tinymqdb
       tinymq daemon [options]   the same; tinymq daemon --help lists the options
       tinymq command [options]  work with the messages; each has a --help:

  demo               two daemons on this machine, and messages that cross
  send HOST [DATA]   put a message into the outbox
  inbox              show what has arrived; --follow goes on
  status             show what waits, and why
  peers              show each machine that is sent to or has sent
  top                watch rate, backlog, round-trip time and loss of each peer
  cancel ID...       stop trying
  retry WHAT...      try a host or a parked row now
  dead list|redrive  messages that no consumer could process
  backup FILE        copy the database while everything goes on
  bench HOST         rows a second and latency to another host of yours
  check              whether the daemon answers right now
  keys               make, list, check and renew the keys of a ring
  doctor             look for what keeps messages from moving, and say what to do
  ui                 the status page of the daemon, in a browser
  completion SHELL   print completions for bash, zsh or fish

       tinymq --version
       tinymq --help
`

const commands = [
  'send',
  'inbox',
  'status',
  'peers',
  'top',
  'cancel',
  'retry',
  'dead',
  'backup',
  'bench',
  'completion',
]

/** EX_CONFIG and EX_USAGE; the table of all is in daemon/start-error.ts. */
const nodeTooOld = 78
const badUsage = 64

/** @param {string[]} args */
function run(args) {
  const first = args[0]
  if (first === 'daemon') return daemon(args.slice(1))
  if (first === 'check') return check(args.slice(1))
  if (first === 'doctor') return doctor(args.slice(1))
  if (first === 'keys') return keys(args.slice(1))
  if (first === 'ui') return ui(args.slice(1))
  if (first === 'demo') return demo(args.slice(1))
  if (first !== undefined && /^\d/.test(first)) return daemon(args)
  if (first === 'help' && args.length > 1) return run([...args.slice(1), '--help'])
  if (first === '--help' || first === '-h' || first === 'help') return print(usage)
  if (['--version', '-V', '-v', 'version'].includes(first || '')) {
    return import('../daemon/version.ts').then(({ readVersion }) => print(`${readVersion()}\n`))
  }
  if (first !== undefined && commands.includes(first)) return command(args)
  // An option can only be the daemon's, as in: tinymq --bind 127.0.0.1 9000
  if (first !== undefined && first.startsWith('-')) return daemon(args)
  // A word that is no command: it says which one may be meant.
  if (first !== undefined && !/[./]/.test(first)) return command(args)
  const order = `tinymq: the port comes first: tinymq 9000 ${first}\n`
  process.stderr.write(first === undefined ? usage : order)
  process.exitCode = badUsage
  return undefined
}

/** @param {string[]} args */
function daemon(args) {
  return import('../daemon/main.ts').then(({ main }) => main(args))
}

/** @param {string[]} args */
function check(args) {
  return import('../daemon/check.ts').then(async ({ check }) => {
    const err = /** @param {string} text */ (text) => process.stderr.write(text)
    process.exitCode = await check(args, { environment: process.env, out: print, err })
  })
}

/** @param {string[]} args */
async function doctor(args) {
  const { doctor: run } = await import('../daemon/doctor/doctor.ts')
  const err = /** @param {string} text */ (text) => process.stderr.write(text)
  process.exitCode = await run(args, { environment: process.env, out: print, err })
}

/** @param {string[]} args */
async function ui(args) {
  const { uiCommand } = await import('../daemon/ui-command.ts')
  const { isatty } = await import('node:tty')
  const err = /** @param {string} text */ (text) => process.stderr.write(text)
  const io = { environment: process.env, out: print, err, isTerminal: isatty(1) }
  process.exitCode = await uiCommand(args, io)
}

/** @param {string[]} args */
async function demo(args) {
  const { demo: run } = await import('../demo/main.ts')
  const ending = new AbortController()
  // A terminal that is closed says SIGHUP, which means something else to the daemons.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => ending.abort())
  // As in: tinymq demo | head. The daemons must not stay.
  process.stdout.on('error', () => ending.abort())
  const err = /** @param {string} text */ (text) => process.stderr.write(text)
  process.exitCode = await run(args, { out: print, err, signal: ending.signal })
}

/** @param {string[]} args */
async function command(args) {
  const { runCommand } = await import('../sdk/cli/main.ts')
  const { terminalOf } = await import('../sdk/cli/process-terminal.ts')
  process.exitCode = await runCommand(args, terminalOf(process))
}

/** @param {string[]} args */
function keys(args) {
  return import('../daemon/keys-command.ts').then(async ({ keysCommand }) => {
    const err = /** @param {string} text */ (text) => process.stderr.write(text)
    const readInput = () => import('node:stream/consumers').then(({ text }) => text(process.stdin))
    const io = { environment: process.env, out: print, err, readInput }
    process.exitCode = await keysCommand(args, io)
  })
}

/**
 * Whoever reads may have gone, as in: tinymq doctor | head -1
 *
 * @param {string} text
 */
function print(text) {
  if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => {})
  process.stdout.write(text)
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major > 22 || (major === 22 && minor >= 14)) {
  void run(process.argv.slice(2))
} else {
  process.stderr.write(`tinymq: Node.js 22.14 or newer is needed, this is ${process.version}.\n`)
  process.exitCode = nodeTooOld
}
