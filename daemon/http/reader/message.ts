/**
 * One message as the page shows it: its row, the beginning of its data, and its life so far. Must
 * never hand out more of the data than the preview.
 */
import type Database from 'better-sqlite3'
import { TinymqError } from '../../../sdk/schema/errors.ts'
import { OutcomeReader } from '../../../sdk/schema/row-outcome.ts'
import { timeText } from '../../../sdk/schema/sql-time.ts'
import type { InboxMessage, OutboxMessage, Preview, TimelineStep } from '../api-types.ts'
import { deadRow, inboxRow, outboxRow } from './search.ts'

const previewBytes = 4_096

type DataRow = {
  readonly isText: number
  readonly start: Buffer
  readonly bytes: number
  readonly headers: string | null
}

/** @throws TinymqError that says what became of it when it is not in the outbox. */
export function outboxMessage(db: Database.Database, id: number): OutboxMessage {
  const row = outboxRow(db, id)
  const data = dataOf(db, 'mqout', id)
  if (row === undefined || data === undefined) throw goneError(db, id)
  const story: TimelineStep[] = [
    { at: row.createdAt, what: 'Inserted into mqout.' },
    ...batchSteps(db, id),
    ...parkedSteps(db, id),
    {
      at: null,
      what: currentSteps(row.state === 'in-flight' ? 'in flight' : row.state, row.reason),
    },
  ]
  return { row, headers: data.headers, preview: previewOf(data), story }
}

/** The reason is a part of a sentence, or several. */
function currentSteps(state: string, reason: string): string {
  return `Now ${state}: ${reason}${/[.?!]$/.test(reason) ? '' : '.'}`
}

/** @throws TinymqError when it is neither in the inbox nor a dead letter. */
export function inboxMessage(db: Database.Database, id: number): InboxMessage {
  const row = inboxRow(db, id)
  const table = row === undefined ? 'mqdead' : 'mqin'
  const found = row ?? deadRow(db, id)
  const data = dataOf(db, table, id)
  if (found === undefined || data === undefined) {
    const sentence = `row ${id} is not in mqin or mqdead: a consumer is done with it`
    throw new TinymqError('TINYMQ_NO_SUCH_ROW', sentence)
  }
  const story = [...arrivalSteps(db, table, id), ...consumerSteps(db, id)]
  return { row: found, headers: data.headers, preview: previewOf(data), story }
}

function dataOf(
  db: Database.Database,
  table: 'mqout' | 'mqin' | 'mqdead',
  id: number,
): DataRow | undefined {
  return db
    .prepare<[number], DataRow>(
      `SELECT typeof(data) <> 'blob' AS isText, headers, octet_length(data) AS bytes,
         substr(CAST(data AS BLOB), 1, ${previewBytes}) AS start
       FROM ${table} WHERE id = ?`,
    )
    .get(id)
}

function previewOf({ isText, start, bytes }: DataRow): Preview {
  const isWhole = bytes <= start.length
  if (isText === 0) return { type: 'hex', text: start.toString('hex'), bytes, isWhole }
  // A character may be cut in two at the end of the preview.
  const text = new TextDecoder().decode(start, { stream: !isWhole })
  return { type: 'text', text, bytes, isWhole }
}

function goneError(db: Database.Database, id: number): TinymqError {
  const outcome = new OutcomeReader(db).read(id, undefined)
  if (outcome.type === 'lost') return outcome.error
  const doneAt = db
    .prepare<[number, number], number | null>(
      'SELECT max(done_at) FROM mqbatch WHERE id_last >= ? AND id_first <= ?',
    )
    .pluck()
    .get(id, id)
  const at = typeof doneAt === 'number' ? ` by ${timeText(doneAt)}` : ''
  const sentence =
    outcome.type === 'delivered'
      ? `row ${id} was delivered${at}: the peer has it on disk`
      : `row ${id} was deleted while it was in flight, and may arrive all the same`
  return new TinymqError('TINYMQ_NO_SUCH_ROW', sentence)
}

type BatchRow = { readonly host: string; readonly port: number; readonly confirmed: number }

function batchSteps(db: Database.Database, id: number): TimelineStep[] {
  const run = db
    .prepare<[number, number, number], BatchRow>(
      `SELECT l.host, l.port, l.confirmed FROM mqbatch AS r JOIN mqlane AS l ON l.id = r.lane
       WHERE r.done_at IS NULL AND r.id_last >= ? AND r.id_first <= ?
         AND instr(r.uids, (SELECT uid FROM mqout WHERE id = ?))`,
    )
    .get(id, id, id)
  if (run === undefined) return []
  const what =
    `Numbered for ${run.host}:${run.port}, which has confirmed ${run.confirmed} messages of ` +
    'this stream so far.'
  return [{ at: null, what }]
}

type ParkedRow = {
  readonly code: string | null
  readonly reason: string | null
  readonly attempts: number | null
  readonly retryAt: number | null
}

function parkedSteps(db: Database.Database, id: number): TimelineStep[] {
  const parked = db
    .prepare<[number], ParkedRow>(
      `SELECT p.code, p.reason, p.attempts, p.retry_at AS retryAt FROM mqparked AS p
       JOIN mqout AS o ON o.id = p.id AND o.uid = p.uid WHERE p.id = ?`,
    )
    .get(id)
  if (parked === undefined) return []
  const { code, reason, attempts, retryAt } = parked
  const times = attempts === null ? '' : ` ${attempts} ${attempts === 1 ? 'time' : 'times'}`
  return [
    { at: null, what: `Rejected by the peer${times}: ${reason ?? ''} (${code ?? ''}).` },
    { at: retryAt, what: 'Parked so that others go on; this is when it is tried again.' },
  ]
}

type ArrivalRow = {
  readonly sentAt: number | null
  readonly arrivedAt: number
  readonly host: string | null
  readonly port: number | null
  readonly senderRow: number | null
  readonly diedAt: number | null
  readonly error: string | null
}

function arrivalSteps(db: Database.Database, table: 'mqin' | 'mqdead', id: number): TimelineStep[] {
  const end = table === 'mqdead' ? 'died_at AS diedAt, error' : 'NULL AS diedAt, NULL AS error'
  const row = db
    .prepare<[number], ArrivalRow>(
      `SELECT sent_at AS sentAt, arrived_at AS arrivedAt, host, port,
         sender_row AS senderRow, ${end}
       FROM ${table} WHERE id = ?`,
    )
    .get(id)
  if (row === undefined) return []
  const from = row.senderRow === null ? '' : ` as row ${row.senderRow} of mqout`
  const steps: TimelineStep[] = [
    { at: row.sentAt, what: `Inserted at ${row.host ?? '?'}:${row.port ?? '?'}${from}.` },
    { at: row.arrivedAt, what: 'Arrived: stored in mqin, and confirmed to the sender.' },
  ]
  if (row.diedAt === null) return steps
  return [...steps, { at: row.diedAt, what: `Moved to mqdead: ${row.error ?? 'no reason given'}.` }]
}

type LeaseRow = {
  readonly owner: string | null
  readonly until: number | null
  readonly attempts: number
  readonly error: string | null
}

function consumerSteps(db: Database.Database, id: number): TimelineStep[] {
  const lease = db
    .prepare<[number], LeaseRow>('SELECT owner, until, attempts, error FROM mqlease WHERE id = ?')
    .get(id)
  if (lease === undefined) return []
  const { owner, until, attempts, error } = lease
  const steps: TimelineStep[] = []
  if (error !== null) {
    steps.push({ at: null, what: `The last of ${attempts} attempts failed: ${error}.` })
  }
  if (owner === null) return [...steps, { at: until, what: 'This is when it is tried again.' }]
  const times = `${attempts} ${attempts === 1 ? 'time' : 'times'} so far`
  return [...steps, { at: until, what: `Claimed by ${owner} until then; ${times}.` }]
}
