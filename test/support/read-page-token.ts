/** One token for the pages of all daemons of a test, as an operator may choose one. */
import { writeFileSync } from 'node:fs'
import { pageTokenPath } from '../../daemon/platform/files/page-token.ts'

export const testToken = '5c'.repeat(24)

/** Before the daemon of this database starts. */
export function giveTestToken(database: string): void {
  writeFileSync(pageTokenPath(database), `authorization: Bearer ${testToken}\n`, { mode: 0o600 })
}
