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
}

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
    const answer = once(this.#worker, 'message')
    this.#worker.postMessage('counters', [])
    const [counters] = (await answer) as [RelayCounters]
    return counters
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
