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

/** EX_CONFIG and EX_USAGE; the table of all is in daemon/platform/start-error.ts. */
const nodeTooOld = 78
const badUsage = 64

/** @param {string[]} args */
function run(args) {
  const first = args[0]
  if (first === 'daemon') return daemon(args.slice(1))
  if (first !== undefined && /^\d/.test(first)) return daemon(args)
  if (first === 'help' && args.length > 1) return run([...args.slice(1), '--help'])
  if (first === '--help' || first === '-h' || first === 'help') return print(usage)
  if (['--version', '-V', '-v', 'version'].includes(first || '')) {
    return import('../daemon/platform/version.ts').then(({ readVersion }) =>
      print(`${readVersion()}\n`),
    )
  }
  // An option can only be the daemon's, as in: tinymq --bind 127.0.0.1 9000
  if (first !== undefined && first.startsWith('-')) return daemon(args)
  // A word that is no command is asked for all the same: the answer says which may be meant.
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
async function command(args) {
  const { runCommand } = await import('./main.ts')
  const { terminalOf } = await import('./output.ts')
  process.exitCode = await runCommand(args, terminalOf(process))
}

/**
 * Whoever reads may have gone, as in: tinymq --help | head -1
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
