/** Messages that have arrived, without the daemon that would have put them there. */

import { prepare, type SqliteHandle } from '../../sdk/schema/sqlite-handle.ts'

export type Arrival = {
  readonly token?: string
  readonly sender?: number
  readonly headers?: Readonly<Record<string, unknown>>
  readonly data?: string | Uint8Array
  readonly arrivedAt?: number
}

/** Inserts them as a daemon does. */
export function arrive(db: SqliteHandle, ...arrivals: readonly Arrival[]): void {
  const insert = prepare(
    db,
    `INSERT INTO mqin
      (host, port, token, sent_at, arrived_at, sender, sender_row, headers, data)
    VALUES ('MachineA', 9000, ?, 1, ?, ?, 7, ?, ?)`,
  )
  for (const { token = '', sender = 1, headers, data = '', arrivedAt = Date.now() } of arrivals) {
    const json = headers === undefined ? null : JSON.stringify(headers)
    insert.run(token, arrivedAt, sender, json, data)
    prepare(db, 'INSERT OR IGNORE INTO mqsender (id, stream) VALUES (?, randomblob(16))').run(
      sender,
    )
  }
}

/** So many messages with their number as the data. */
export const numbered = (count: number, arrival: Arrival = {}): Arrival[] =>
  Array.from({ length: count }, (_, at) => ({ ...arrival, data: String(at + 1) }))
