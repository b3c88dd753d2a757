/** Puts dead messages back into the inbox, as new rows at its end. */

import { hasHeaderSql, lateReplyHeader, replyHeader } from './reply-headers.ts'

const names = 'host, port, token, sent_at, arrived_at, sender, sender_row'
const [reply, late] = [`'$."${replyHeader}"'`, `'$."${lateReplyHeader}"'`]

// A reply that came too late would die again at once. Now it is for a consumer.
const headers = `CASE WHEN ${hasHeaderSql('mqdead', replyHeader)}
  THEN json_remove(json_set(headers, ${late}, json_extract(headers, ${reply})), ${reply})
  ELSE headers END`

/** Two statements for one transaction: copies the rows of `mqdead` that `where` names; removes. */
export const redriveSql = (where: string): readonly [copy: string, remove: string] => [
  `INSERT INTO mqin (${names}, headers, data)
    SELECT ${names}, ${headers}, data FROM mqdead WHERE ${where} ORDER BY id`,
  `DELETE FROM mqdead WHERE ${where}`,
]
