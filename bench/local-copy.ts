/**
 * The baseline of the drain: the same rows copied from one SQLite file to another by one process,
 * a thousand a transaction, synced in both, and deleted in the source. No network, no identity, no
 * order to keep: a sender and a receiver that did nothing else would have to do this much.
 */
import { join } from 'node:path'
import Database from 'better-sqlite3'

const columns = 'id INTEGER PRIMARY KEY, host TEXT, port INTEGER, token TEXT, data TEXT'

/** Rows per second; `batch` of them are in one transaction. */
export function copyLocally(directory: string, rows: number, data: string, batch = 1_000): number {
  const source = openPlain(join(directory, 'source.db'), 'mqout')
  const target = openPlain(join(directory, 'target.db'), 'mqin')
  fill(source, rows, data)
  const read = source.prepare('SELECT id, host, port, token, data FROM mqout ORDER BY id LIMIT ?')
  const insert = target.prepare('INSERT INTO mqin (host, port, token, data) VALUES (?, ?, ?, ?)')
  const remove = source.prepare('DELETE FROM mqout WHERE id = ?')
  const started = performance.now()
  for (;;) {
    const taken = read.raw().all(batch) as [number, string, number, string, string][]
    if (taken.length === 0) break
    target.transaction(() => {
      for (const [, host, port, token, text] of taken) insert.run(host, port, token, text)
    })()
    source.transaction(() => {
      for (const [id] of taken) remove.run(id)
    })()
  }
  const seconds = (performance.now() - started) / 1_000
  source.close()
  target.close()
  return rows / seconds
}

function openPlain(path: string, table: string): Database.Database {
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec(`CREATE TABLE ${table} (${columns})`)
  return database
}

function fill(database: Database.Database, rows: number, data: string): void {
  const insert = database.prepare('INSERT INTO mqout (host, port, token, data) VALUES (?, ?, ?, ?)')
  database.transaction(() => {
    for (let row = 0; row < rows; row++) insert.run('127.0.0.1', 9000, 'bench', data)
  })()
}
