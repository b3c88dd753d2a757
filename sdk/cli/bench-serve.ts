/**
 * `tinymq bench --serve`: takes the rows of a measurement out of the inbox as they come, and
 * answers those that ask. Must never touch a row that is not marked as one.
 */
import { answered } from '../answer.ts'
import { CommitWatch } from '../commit-watch.ts'
import { TinymqError } from '../errors.ts'
import { atomically } from '../handle.ts'
import { hasHeaderSql, headerOf, replyHeader, requestHeader } from '../reply.ts'
import type { Opened } from './command.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

/** The label when no other is chosen. */
export const benchToken = 'tinymq-bench'
/** The header that every row of a measurement has. */
export const benchHeader = 'tinymq-bench'

type Row = {
  readonly id: number
  readonly host: string | null
  readonly port: number | null
  readonly arrived_at: number | null
  /** Null for rows that are none of ours. */
  readonly headers: string | null
}

/** Who asks waits so long for the answer, in milliseconds. */
export const answerMs = 10_000

/** Rows that are looked at in one transaction. */
const sliceRows = 1_000

/** Until the user ends it. */
export async function serveBench(opened: Opened, token: string, terminal: Terminal): Promise<void> {
  const taker = new Taker(opened, token)
  const watch = new CommitWatch(opened.db)
  using progress = new Progress(terminal, 'serving')
  terminal.say(`tinymq: takes rows of measurements under the token "${token}"; Ctrl-C ends it.\n`)
  while (!terminal.signal.aborted) {
    try {
      await answered(watch, () => taker.takeSlice(), terminal.signal)
    } catch (error) {
      if (terminal.signal.aborted) break
      // Somebody holds the lock for long: the rows are there later too.
      if (!(error instanceof TinymqError && error.retryable)) throw error
    }
    progress.show(taker.taken, undefined, 'rows taken')
  }
  await terminal.out(`${taker.taken.toLocaleString('en-US')} rows taken\n`)
}

class Taker {
  taken = 0
  readonly #opened: Opened
  readonly #token: string
  #cursor = 0

  constructor(opened: Opened, token: string) {
    this.#opened = opened
    this.#token = token
  }

  /** Whether there was anything to look at. */
  takeSlice(): boolean {
    const rows = this.#opened.rows<Row>(
      `SELECT id, host, port, arrived_at,
        CASE WHEN token = ? AND ${hasHeaderSql('mqin', benchHeader)} THEN headers END AS headers
      FROM mqin WHERE id > ? ORDER BY id LIMIT ${sliceRows}`,
      this.#token,
      this.#cursor,
    )
    const mine = rows.filter(({ headers }) => headers !== null)
    if (mine.length > 0) this.#take(mine)
    this.#cursor = rows.at(-1)?.id ?? this.#cursor
    return rows.length > 0
  }

  #take(rows: readonly Row[]): void {
    const { db, mq } = this.#opened
    const remove = db.prepare<[number]>('DELETE FROM mqin WHERE id = ?')
    atomically(db, () => {
      for (const { id, host, port, arrived_at: arrivedAt, headers } of rows) {
        remove.run(id)
        const asked = headerOf(headers, requestHeader)
        if (asked === undefined || host === null || port === null) continue
        if ((arrivedAt ?? 0) < Date.now() - answerMs) continue
        const answer = { [benchHeader]: 'answer', [replyHeader]: asked }
        mq.send(host, port, this.#token, '', { headers: answer })
      }
    })
    this.taken += rows.length
  }
}
