/**
 * A program that sends and receives through the SDK on one database, in a thread of its own: it may
 * wait for a lock that a daemon holds which the test has frozen and must wake.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Label } from './expected-state.ts'

export type ClientRequest =
  | {
      readonly type: 'send'
      readonly host: string
      readonly port: number
      readonly labels: readonly Label[]
    }
  | { readonly type: 'take' }

/** The beginning of a message that was in the inbox, and whether all of it was right. */
export type Arrival = { readonly text: string; readonly isWhole: boolean }

export type ClientAnswer =
  | { readonly type: 'sent' }
  | { readonly type: 'taken'; readonly arrivals: readonly Arrival[] }
  | { readonly type: 'failed'; readonly reason: string }

/** One request at a time. */
export class Client implements AsyncDisposable {
  readonly #worker: Worker

  constructor(database: string) {
    const thread = new URL('./client-thread.ts', import.meta.url)
    this.#worker = new Worker(thread, { workerData: { database } })
  }

  async ask(request: ClientRequest): Promise<ClientAnswer> {
    const answered = once(this.#worker, 'message')
    this.#worker.postMessage(request, [])
    const [answer] = (await answered) as [ClientAnswer]
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
