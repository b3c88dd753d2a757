/**
 * The thread of a `Client`: opens the database through the SDK for each request and closes it
 * again, as a short program does, so that nobody has it open when it is treated as after a reboot.
 */
import { isDeepStrictEqual } from 'node:util'
import { parentPort, workerData } from 'node:worker_threads'
import { openDatabase } from '../../sdk/schema/open-database.ts'
import { open, type Message } from '../../sdk/index.ts'
import type { Arrival, ClientAnswer, ClientRequest } from './client.ts'
import { blobEvery, headersNumberOf, labelOf, textOf } from './expected-state.ts'

const { database } = workerData as { readonly database: string }
/** In one transaction: a daemon that wants to write must not wait for long. */
const takenMax = 2_000

parentPort?.on('message', (request: ClientRequest) => {
  parentPort?.postMessage(answer(request), [])
})

function answer(request: ClientRequest): ClientAnswer {
  try {
    return request.type === 'send' ? send(request) : take()
  } catch (error) {
    return { type: 'failed', reason: (error as Error).message }
  }
}

function send({ host, port, labels }: Extract<ClientRequest, { type: 'send' }>): ClientAnswer {
  // What a client may lose, the daemon must cover before it sends it.
  using mq = open(database, { synchronous: 'normal' })
  mq.sendMany(
    labels.map((label) => {
      const text = textOf(label)
      const data = label.number % blobEvery === 0 ? Buffer.from(text) : text
      const headers = headersNumberOf(label)
      return { host, port, token: 'token', data, ...(headers === undefined ? {} : { headers }) }
    }),
  )
  return { type: 'sent' }
}

/** Reads the inbox and removes what it has read, in one transaction. */
function take(): ClientAnswer {
  const db = openDatabase(database)
  try {
    const arrivals: Arrival[] = []
    using mq = open({ db })
    db.transaction(() => {
      let last = 0
      for (const message of mq.readInbox({ limit: takenMax })) {
        arrivals.push(arrivalOf(message))
        last = message.id
      }
      db.prepare('DELETE FROM mqin WHERE id <= ?').run(last)
    }).immediate()
    return { type: 'taken', arrivals }
  } finally {
    db.close()
  }
}

function arrivalOf({ data, token, headers }: Message): Arrival {
  const text = typeof data === 'string' ? data : Buffer.from(data).toString()
  const label = labelOf(text)
  const isBlob = typeof data !== 'string'
  const isWhole =
    label !== undefined &&
    token === 'token' &&
    text === textOf(label) &&
    isBlob === (label.number % blobEvery === 0) &&
    isDeepStrictEqual(headers ?? undefined, headersNumberOf(label))
  return { text: text.slice(0, 60), isWhole }
}
