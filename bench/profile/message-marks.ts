/**
 * Loaded into a daemon before its program (`node --import`), into every thread of it: notes when a
 * message passes which step. The steps are methods that are watched from outside, so that the
 * daemon needs nothing that only a benchmark would use. Must never change what it watches.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, threadId } from 'node:worker_threads'

/** What is noted, in the order in which a message passes it; a node knows only some of it. */
export type Step =
  | 'store runs'
  | 'begins'
  | 'commits'
  | 'has committed'
  | 'has rows'
  | 'sends'
  | 'has datagram'

const writeEveryMs = 200
const marks: string[] = []

function mark(step: Step): void {
  marks.push(`${process.hrtime.bigint()} ${step}\n`)
}

/** `before` looks at the arguments; `after` is noted when the method returns. */
function watch(
  part: object,
  method: string,
  before: (values: readonly unknown[]) => Step | undefined,
  after?: Step,
): void {
  const original: unknown = Reflect.get(part, method)
  if (typeof original !== 'function') throw new Error(`There is no ${method} to watch.`)
  const watched = function (this: unknown, ...values: unknown[]): unknown {
    const step = before(values)
    if (step !== undefined) mark(step)
    const result: unknown = Reflect.apply(original, this, values)
    if (after !== undefined) mark(after)
    return result
  }
  Reflect.set(part, method, watched)
}

/** A class of the program that was built. */
async function built(file: string, name: string): Promise<object> {
  const url = new URL(`../../dist/daemon${file}`, import.meta.url)
  const module: unknown = await import(url.href)
  const prototype: unknown = Reflect.get(Reflect.get(Object(module), name), 'prototype')
  if (typeof prototype !== 'object' || prototype === null) throw new Error(`No ${name} in ${file}.`)
  return prototype
}

function stepOfInput([input]: readonly unknown[]): Step | undefined {
  const { type, result } = input as { readonly type: string; readonly result?: { type: string } }
  if (type === 'datagram') return 'has datagram'
  return type === 'stored' && result?.type === 'rows' ? 'has rows' : undefined
}

const directory = new URL(import.meta.url).searchParams.get('to')
if (directory !== null) {
  if (isMainThread) {
    watch(await built('event-loop.js', 'EventLoop'), 'feed', stepOfInput)
    watch(await built('platform/net/udp-socket.js', 'UdpSocket'), 'send', () => 'sends')
  } else {
    watch(await built('store/store.js', 'Store'), 'run', () => 'store runs')
    const connection = await built('store/connection.js', 'Connection')
    watch(connection, 'begin', () => 'begins')
    watch(connection, 'commit', () => 'commits', 'has committed')
  }
  const file = join(directory, `${process.pid}-${threadId}`)
  setInterval(() => appendFileSync(file, marks.splice(0).join('')), writeEveryMs).unref()
}
