/**
 * The program that runs a daemon: its options, its signals and the number that it ends with. Must
 * never hold what a daemon inside another program needs too.
 */
import { constants } from 'node:os'
import { dirname, resolve } from 'node:path'
import { isatty } from 'node:tty'
import { readConfig } from './platform/config/parse.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { createLog, type Log } from './platform/log.ts'
import { trimMemoryAfterStart } from './store/thread/startup-memory.ts'
import { isLookingUp } from './platform/net/name-process.ts'
import type { Config } from './platform/config/options.ts'
import { causeOfFailure, describeError, exitCodeOf } from './platform/start-error.ts'

/** With what follows less than the five seconds that docs/docker.md promises. */
const drainMs = 3_500
const stderr = 2

/** Runs until a signal or a fatal error ends the process. */
export async function main(args: readonly string[]): Promise<void> {
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  // Whoever read the log has gone: no reason to stop.
  process.stderr.on('error', () => {})
  try {
    const line = readConfig(args)
    if (line.type === 'help') process.stdout.write(line.text)
    else await run(line.config, line.ignored)
  } catch (error) {
    fail(error)
  }
}

async function run(config: Config, ignored: readonly string[]): Promise<void> {
  // SQLite's temporary files (to build an index, say) go where the disk is as large as the database
  // needs it, not into a small /tmp. It asks for this when the first database is opened.
  process.env['SQLITE_TMPDIR'] ??= dirname(resolve(config.database))
  const log = createLog({
    level: config.logLevel,
    format: config.logFormat === 'auto' ? autoFormat() : config.logFormat,
    write: (text) => process.stderr.write(text),
    nowMs: () => performance.now(),
  })
  if (ignored.length > 0) {
    // Other programs' settings may be called so: those of compose.yaml are.
    const which = ignored.toSorted().join(', ')
    const sentence = `No option of the daemon has a variable called ${which}: ignored.`
    log({ level: 'warn', event: 'unknown-variable', sentence })
  }
  const started = startDaemon({ ...config, log, onFatal: fail })
  stopOnSignal(started, log)
  await started
  trimMemoryAfterStart()
}

function autoFormat(): 'text' | 'json' {
  return isatty(stderr) ? 'text' : 'json'
}

function stopOnSignal(started: Promise<Daemon>, log: Log): void {
  let isStopping = false
  const onSignal = (signal: 'SIGTERM' | 'SIGINT'): void => {
    if (isStopping) endNow(128 + constants.signals[signal])
    isStopping = true
    log({ level: 'info', event: 'stopping', sentence: 'Stopping.', fields: { signal } })
    setTimeout(() => endNow(0), drainMs)
    void started.then(async (daemon) => {
      await daemon.stop()
      if (isLookingUp()) endNow(0)
      process.exit(0)
    })
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  process.on('SIGHUP', () => {
    void started.then(async (daemon) => daemon.reloadKeys())
  })
}

/**
 * `process.exit` waits for threads, and one may wait for a lock that another program holds. To
 * become a program that ends at once does not, and has a number of its own choice: to be killed has
 * not, and for the first process of a container it is not even possible. Everything that matters is
 * in the database.
 */
function endNow(code: number): never {
  const { execPath, env, execve } = process as Executable
  const program = [execPath, '--eval', `process.exit(${code})`]
  execve?.call(process, execPath, program, { ...env, NODE_OPTIONS: '' })
  // Node.js before 22.15, and Windows.
  process.exit(code)
}

type Executable = NodeJS.Process & {
  readonly execve?: (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => never
}

/** Everything that matters is in the database: to end is always safe. */
function fail(error: unknown): never {
  const cause = causeOfFailure(error)
  process.stderr.write(`${describeError(cause)}\n`)
  process.exit(exitCodeOf(cause))
}
