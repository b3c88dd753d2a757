/** Lines to type into a shell. Must never give one that a path with odd letters breaks. */
import type { Box } from './route.ts'

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
