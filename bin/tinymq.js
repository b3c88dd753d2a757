#!/usr/bin/env node
// The program `tinymq`: checks the version of Node.js before anything else is loaded (older ones
// crash in the database driver), then hands over. Plain JavaScript that Node.js 12 can read: no
// static import, no `?.`, no `??`.

const usage = `Usage: tinymq [port] [database]  run the daemon: tinymq 9000 /var/tmp/tinymqdb
       tinymq daemon [options]   the same; tinymq daemon --help lists the options
       tinymq check [database]   whether its daemon answers right now
       tinymq --version
       tinymq --help
`

/** EX_CONFIG and EX_USAGE; the table of all is in daemon/start-error.ts. */
const nodeTooOld = 78
const badUsage = 64

/** @param {string[]} args */
function run(args) {
  const first = args[0]
  if (first === 'daemon') return daemon(args.slice(1))
  if (first === 'check') return check(args.slice(1))
  if (first !== undefined && /^\d/.test(first)) return daemon(args)
  if (first === '--help' || first === '-h') return print(usage)
  if (first === '--version') {
    return import('../daemon/version.ts').then(({ readVersion }) => print(`${readVersion()}\n`))
  }
  process.stderr.write(
    first === undefined ? usage : `tinymq: there is no command ${first}.\n${usage}`,
  )
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

/** @param {string} text */
function print(text) {
  process.stdout.write(text)
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major > 22 || (major === 22 && minor >= 14)) {
  void run(process.argv.slice(2))
} else {
  process.stderr.write(`tinymq: Node.js 22.14 or newer is needed, this is ${process.version}.\n`)
  process.exitCode = nodeTooOld
}
