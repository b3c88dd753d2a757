/**
 * A bad network in front of one machine: a UDP relay that loses, doubles, delays and reorders
 * datagrams in both directions. It runs in a thread, so that a busy test does not slow it down, and
 * ends with the process at the latest.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Impairment } from './impairment.ts'
import type { Destination } from './machine.ts'

export type { Impairment } from './impairment.ts'

export type RelayOptions = {
  /** Where it listens. */
  readonly host: string
  readonly port: number
  /** Where the datagrams go. */
  readonly target: Destination
  readonly impairment: Impairment
  /** Whether `datagrams` is asked for later. */
  readonly keeps?: boolean
}

/** What came to the relay, in the order in which it came: to the target, and back from it. */
export type Datagrams = { readonly forth: Uint8Array[]; readonly back: Uint8Array[] }

/** Datagrams of both directions. */
export type RelayCounters = { taken: number; lost: number; doubled: number }

export class LossyRelay implements AsyncDisposable, Destination {
  readonly host: string
  readonly port: number
  readonly #worker: Worker
  readonly #listening: Promise<unknown>

  constructor(options: RelayOptions) {
    this.host = options.host
    this.port = options.port
    this.#worker = new Worker(new URL('./relay-thread.ts', import.meta.url), {
      workerData: options,
    })
    this.#listening = once(this.#worker, 'message')
  }

  async listening(): Promise<void> {
    await this.#listening
  }

  async counters(): Promise<RelayCounters> {
    return (await this.#ask('counters')) as RelayCounters
  }

  /** All that passed through it so far, when it keeps them. */
  async datagrams(): Promise<Datagrams> {
    return (await this.#ask('datagrams')) as Datagrams
  }

  async #ask(question: 'counters' | 'datagrams'): Promise<unknown> {
    const answer = once(this.#worker, 'message')
    this.#worker.postMessage(question, [])
    const [value] = (await answer) as [unknown]
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
