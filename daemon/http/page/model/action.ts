/**
 * What an operator can do to a row, in words that say what follows from it. Must never offer what
 * the state of the row does not allow.
 */
import type { InboxState, OutboxState } from '../../api-types.ts'
import type { Box } from './route.ts'

export type Action = {
  /** The last part of the address that is posted to. */
  readonly name: 'cancel' | 'retry' | 'redrive'
  readonly label: string
  readonly question: string
  readonly consequence: string
  readonly isDestructive: boolean
}

const cancel: Action = {
  name: 'cancel',
  label: 'Stop sending',
  question: 'Stop sending this row?',
  consequence: 'It is deleted from the outbox. This cannot be undone.',
  isDestructive: true,
}

const cancelInFlight: Action = {
  ...cancel,
  consequence: 'It is deleted from the outbox. The peer may have it already, and then keeps it.',
}

const retry: Action = {
  name: 'retry',
  label: 'Retry now',
  question: 'Try this row again now?',
  consequence:
    'It does not wait for its time. If the peer still rejects it, it is set aside again.',
  isDestructive: false,
}

const redrive: Action = {
  name: 'redrive',
  label: 'Redrive',
  question: 'Give this dead letter to the consumers again?',
  consequence: 'It goes back to the inbox with its attempts at 0. Fix what it failed on first.',
  isDestructive: false,
}

export function actionsOf(box: Box, state: OutboxState | InboxState): readonly Action[] {
  if (box === 'inbox') return state === 'dead' ? [redrive] : []
  if (state === 'in-flight') return [cancelInFlight]
  return [retry, cancel]
}

// Lines to type into a shell. Must never give one that a path with odd letters breaks.

/** Of a daemon whose operator names none; shown until the page knows better. */
export const defaultDatabase = '/var/lib/tinymq/tinymqdb'

/** The line that sends a first row through this database. */
export function firstRowLine(database = defaultDatabase): string {
  const insert =
    "INSERT INTO mqout (host, port, token, data) VALUES ('MachineB', 9000, 'token', 'Hello');"
  return `sqlite3 -cmd '.timeout 5000' ${shellWord(database)} \\\n  "${insert}"`
}

/** The line that prints all the data of a message. */
export function wholeDataLine(database: string, box: Box, id: number, isDead: boolean): string {
  const live = box === 'outbox' ? 'mqout' : 'mqin'
  const select = `SELECT data FROM ${isDead ? 'mqdead' : live} WHERE id = ${id};`
  return `sqlite3 -cmd '.timeout 5000' ${shellWord(database)} "${select}"`
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
