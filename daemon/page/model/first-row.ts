/** What to type where there is nothing to see yet. Must never give a line that breaks a shell. */

/** The line that sends a first row through this database. */
export function firstRowLine(database: string): string {
  const insert =
    "INSERT INTO mqout (host, port, token, data) VALUES ('MachineB', 9000, 'token', 'Hello');"
  return `sqlite3 -cmd '.timeout 5000' ${shellWord(database)} \\\n  "${insert}"`
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
