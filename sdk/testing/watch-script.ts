/**
 * A program that runs inside a container, next to the database, and waits there until a SELECT
 * answers: one command of Docker for a wait, however long, and no look after look from outside.
 */

/** How it ends when it has waited for too long. */
export const watchTimedOut = 75

// The event of the watch comes before the commit can be seen, so it looks every 50 ms as well.
const script = `
const [file, select, withinMs] = process.argv.slice(1)
const { DatabaseSync } = require('node:sqlite')
const { watch } = require('node:fs')
const { dirname } = require('node:path')
const db = new DatabaseSync(file)
db.exec('PRAGMA busy_timeout = 5000')
const statement = db.prepare(select)
const deadline = performance.now() + Number(withinMs)
let row
const end = (code) => {
  process.stdout.write(JSON.stringify(row ?? null), () => process.exit(code))
}
const look = () => {
  row = statement.get()
  if (row !== undefined && Object.values(row)[0]) end(0)
  else if (performance.now() > deadline) end(${watchTimedOut})
}
watch(dirname(file), look)
setInterval(look, 50)
look()
`

/**
 * The command that ends with 0 once the first column of the first row of `select` is neither NULL,
 * 0 nor empty, and with `watchTimedOut` when that takes too long. It prints the last row as JSON.
 * @param database its path in there.
 */
export function watchCommand(database: string, select: string, withinMs: number): string[] {
  // node:sqlite says on stderr that it is experimental.
  const words = ['--disable-warning=ExperimentalWarning', '--eval', script, '--']
  return ['node', ...words, database, select, String(withinMs)]
}

/** The command that runs statements in the stock shell of SQLite. */
export function shellCommand(database: string, statements: string, ...options: string[]): string[] {
  return ['sqlite3', '-bail', ...options, '-cmd', '.timeout 5000', database, statements]
}
