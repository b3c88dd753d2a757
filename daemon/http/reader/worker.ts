/**
 * The entry of the thread that reads the tables for the page and the metrics: one question after
 * the other, on a connection of its own that cannot write. Must never be imported but for its
 * types, nor keep a read open between two questions.
 */
import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { fromSqlite, TinymqError } from '../../../sdk/schema/errors.ts'
import { unreachable } from '../../protocol/assert.ts'
import { HealthReport } from '../../diagnostics/report.ts'
import { OverviewQuery } from './overview.ts'
import { inboxMessage, outboxMessage } from './message.ts'
import { act, type RowAction } from './actions.ts'
import { inboxPage, outboxPage, type InboxQuery, type OutboxQuery } from './search.ts'

export type ReadRequest =
  | { readonly type: 'look' }
  | { readonly type: 'health' }
  | { readonly type: 'outbox'; readonly query: OutboxQuery }
  | { readonly type: 'inbox'; readonly query: InboxQuery }
  | { readonly type: 'outbox-message'; readonly id: number }
  | { readonly type: 'inbox-message'; readonly id: number }
  | { readonly type: 'act'; readonly action: RowAction; readonly id: number }

export type ReaderRequest = { readonly ticket: number; readonly question: ReadRequest }

/** Errors lose their class on the way: a `TinymqError` is made of its code and sentence again. */
export type ReaderReply = { readonly ticket: number } & (
  | { readonly answer: unknown }
  | { readonly code: TinymqError['code']; readonly sentence: string }
)

const port = parentPort
const path = workerData as string
const db = new Database(path, { readonly: true, fileMustExist: true, timeout: 1_000 })
db.pragma('cache_size = -2048')
const looks = new OverviewQuery(db)
const health = new HealthReport(db)

port?.on('message', ({ ticket, question }: ReaderRequest) => {
  try {
    reply({ ticket, answer: answerTo(question) })
  } catch (error) {
    const known = fromSqlite(error)
    // What is not the world's doing is our bug: it ends the thread, and the daemon says so.
    if (!(known instanceof TinymqError)) throw error
    reply({ ticket, code: known.code, sentence: known.message })
  }
})

function reply(message: ReaderReply): void {
  port?.postMessage(message, [])
}

function answerTo(question: ReadRequest): unknown {
  switch (question.type) {
    case 'look':
      return looks.read(Date.now())
    case 'health':
      return health.read(Date.now())
    case 'outbox':
      return outboxPage(db, question.query)
    case 'inbox':
      return inboxPage(db, question.query)
    case 'outbox-message':
      return outboxMessage(db, question.id)
    case 'inbox-message':
      return inboxMessage(db, question.id)
    case 'act':
      return { done: true, sentence: act(path, question.action, question.id) }
    default:
      return unreachable(question)
  }
}
