/**
 * The system's look-ups: the first ones in this process, and what comes while those take long in a
 * process of its own. A look-up that hangs holds a thread until the system gives up, half a minute
 * later: here it would delay the look-ups of other names and the end of the process. To start a
 * process takes a slow machine seconds: none is started for names that are found at once. Must
 * never check a name.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { getDefaultResultOrder } from 'node:dns'
import { extname } from 'node:path'
import type { NameAnswer, NameQuestion } from './name-process-main.ts'
import { systemLookup, type Lookup, type LookupCallback } from './resolver.ts'

type Asked = {
  readonly host: string
  readonly callback: LookupCallback
  readonly atMs: number
  readonly timer: NodeJS.Timeout
}

/**
 * Look-ups that this process does itself: libuv leaves them one half of its four threads. None
 * where nothing ends the process while they hang (Node.js before 22.15).
 */
const hereMax = 'execve' in process ? 2 : 0
/**
 * Look-ups that run at the same time. More: threads, of which a container may have few. Fewer:
 * names that hang hold up others sooner.
 */
export const lookupsAtOnce = 64
/** libuv lets look-ups have one half of its threads. */
const threads = 2 * lookupsAtOnce
/** A look-up that has taken so long is unlikely to find anything … */
const overdueMs = 10_000
/** … and this many of them are not left to hold the threads: nothing but the end frees those. */
const overdueMax = lookupsAtOnce / 2
/** The process takes ten megabytes: it ends when nobody has asked for so long. */
const restMs = 60_000

let lookupsHere = 0

/** Whether an orderly end of this process would wait for the name service. */
export function isLookingUp(): boolean {
  return lookupsHere > 0
}

function lookUpHere(host: string, callback: LookupCallback): void {
  lookupsHere++
  systemLookup(host, (error, found) => {
    lookupsHere--
    callback(error, found)
  })
}

export class NameProcess {
  readonly #program: URL
  readonly #hereMax: number
  #child: ChildProcess | undefined
  /** It could not run, or it ended: this process asks the system itself from then on. */
  #hasFailed = false
  #lastId = 0
  readonly #asked = new Map<number, Asked>()
  #checkpointTimer: NodeJS.Timeout | undefined

  /** `program`, `most`: for tests; the one next to this file, and `hereMax`, if left out. */
  constructor(program = programUrl(), most = hereMax) {
    this.#program = program
    this.#hereMax = most
  }

  readonly lookup: Lookup = (host, callback) => {
    if (this.#hasFailed || lookupsHere < this.#hereMax) return lookUpHere(host, callback)
    clearTimeout(this.#checkpointTimer)
    const id = ++this.#lastId
    const timer = setTimeout(() => this.#endOverdue(), overdueMs).unref()
    this.#asked.set(id, { host, callback, atMs: performance.now(), timer })
    this.#child ??= this.#start()
    this.#child.send({ id, host } satisfies NameQuestion)
    return undefined
  }

  /** Whether the other process is there. */
  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** What was asked is not answered any more. */
  stop(): void {
    clearTimeout(this.#checkpointTimer)
    for (const { timer } of this.#asked.values()) clearTimeout(timer)
    this.#asked.clear()
    const child = this.#child
    this.#child = undefined
    // Nothing less ends a process whose threads wait for a name server.
    child?.kill('SIGKILL')
  }

  /** Another process goes on with those that are not. */
  #endOverdue(): void {
    const asked = [...this.#asked.values()]
    const sinceMs = performance.now() - overdueMs + 1
    const overdue = asked.filter(({ atMs }) => atMs <= sinceMs)
    if (overdue.length < overdueMax) return
    this.stop()
    const others = asked.filter((one) => !overdue.includes(one))
    for (const { host, callback } of others) this.lookup(host, callback)
    for (const { callback } of overdue) callback(codeError('ETIMEDOUT'), [])
  }

  #start(): ChildProcess {
    const child = fork(this.#program, [getDefaultResultOrder()], {
      env: { ...process.env, UV_THREADPOOL_SIZE: String(threads), NODE_OPTIONS: '' },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'json',
    })
    child.on('message', (answer: NameAnswer) => this.#onAnswer(answer))
    // It could not be made, a question could not be sent, or it has ended.
    for (const end of ['error', 'exit']) child.on(end, () => this.#onEnded(child))
    // It is no reason for this process to live on.
    child.unref()
    child.channel?.unref()
    return child
  }

  #onAnswer({ id, code, found }: NameAnswer): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    clearTimeout(asked?.timer)
    if (this.#asked.size === 0)
      this.#checkpointTimer = setTimeout(() => this.stop(), restMs).unref()
    asked?.callback(code === undefined ? null : codeError(code), [...found])
  }

  #onEnded(child: ChildProcess): void {
    if (child !== this.#child) return
    this.#hasFailed = true
    const asked = [...this.#asked.values()]
    this.stop()
    for (const { host, callback } of asked) lookUpHere(host, callback)
  }
}

function codeError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code })
}

/** The compiler rewrites the endings of imports, not of paths. */
function programUrl(): URL {
  return new URL(`./name-process-main${extname(import.meta.filename)}`, import.meta.url)
}
