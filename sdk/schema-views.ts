/**
 * The views for people: `mqstatus` (where is my message, and why is it still there?) and `mqpeers`
 * (how is it going with each machine?); `mqstuck` has a file of its own. Each column of `mqstatus`
 * is a look-up by key, so that a single row is found at once among millions, and none reads `data`.
 */

import { inFlightSql, keptCode, keptReason, keptSql } from './schema-outbox.ts'
import { stuck } from './schema-stuck.ts'
import { agoS, inS, isLate, isQuiet, untouchedS } from './schema-times.ts'

const text = (at: string): string => `strftime('%Y-%m-%d %H:%M:%S', ${at} / 1000, 'unixepoch')`

const withCode = (sentence: string, code: string): string =>
  `coalesce(${sentence} || ' (' || ${code} || ')', ${sentence}, ${code})`

const status = `
CREATE VIEW IF NOT EXISTS mqstatus AS
-- One row for each row of mqout: where it is, and why it is still there.
SELECT
  o.id, o.host, o.port, o.token, o.bytes,
  ${agoS('o.created_at')} AS age_s,
  CASE
    WHEN p.id IS NOT NULL THEN 'parked'
    WHEN ${inFlightSql('o')} THEN CASE WHEN ${keptSql('o')} THEN 'delivered' ELSE 'in flight' END
    WHEN l.error_code = 'TINYMQ_NO_KEY' THEN 'parked' -- all of its lane: there is no such key
    ELSE 'waiting'
  END AS state,
  CASE
    WHEN p.id IS NOT NULL THEN ${withCode('p.reason', 'p.code')}
    WHEN ${inFlightSql('o')} AND ${keptSql('o')} THEN '${keptReason} (${keptCode})'
    WHEN l.id IS NULL THEN 'no daemon has looked at it yet; is one running on this database?'
    WHEN coalesce(l.error, l.error_code) IS NOT NULL
      THEN ${withCode('l.error', 'l.error_code')} || CASE
        WHEN ${isLate('l')}
        THEN '; nobody has tried again since: does the daemon run? tinymq check says so'
        ELSE '' END
    WHEN ${agoS('o.created_at')} > ${untouchedS} AND ${isQuiet('l')}
      THEN 'nothing of its lane was completed for a minute, and no fault is told: does the daemon'
        || ' run? tinymq check says so'
    WHEN ${inFlightSql('o')} THEN 'on its way; the peer has not confirmed it yet'
    ELSE 'waits for its turn'
  END AS reason,
  ${inS('CASE WHEN p.id IS NOT NULL THEN p.retry_at ELSE l.retry_at END')} AS retry_in_s
FROM mqout AS o
LEFT JOIN mqparked AS p ON p.id = o.id AND p.uid = o.uid
LEFT JOIN mqlane AS l ON l.id = coalesce(
  -- The lane of the key that the token names, else the lane without a key.
  (SELECT id FROM mqlane WHERE host = o.host AND port = o.port AND state IS NOT 'unused'
    AND key = CASE o.token WHEN '' THEN '(no token)' ELSE o.token END),
  (SELECT id FROM mqlane WHERE host = o.host AND port = o.port AND key = ''
    AND state IS NOT 'unused')
);
`

const lastEvent = (column: string, peer: string): string =>
  `(SELECT ${column} FROM mqevent AS e WHERE e.host = ${peer}.host` +
  ` AND coalesce(e.port, ${peer}.port) = ${peer}.port ORDER BY e.id DESC LIMIT 1)`

const peers = `
CREATE VIEW IF NOT EXISTS mqpeers AS
-- One row for each stream of messages: direction out to a host, or in from a sender. Times are UTC.
SELECT
  'out' AS direction, l.host, l.port, l.key, l.state, l.error_code, l.error,
  ${text('l.since')} AS since,
  ${inS('l.retry_at')} AS retry_in_s,
  -- Rows in mqout for the host and port under any key, in flight and parked ones included.
  (SELECT count(*) FROM mqout AS o WHERE o.host = l.host AND o.port = l.port) AS waiting,
  l.confirmed AS watermark, -- the messages so far, skipped ones included
  l.rtt_us / 1000.0 AS rtt_ms,
  l.packets, l.lost, -- sent so far; of these, lost and sent again
  ${lastEvent('code', 'l')} AS event,
  ${text(lastEvent('at', 'l'))} AS event_at
FROM mqlane AS l
UNION ALL
SELECT
  'in', s.host, s.port, s.key, NULL, NULL, NULL,
  ${text('s.seen_at')},
  NULL,
  NULL,
  s.watermark,
  NULL,
  NULL, NULL,
  ${lastEvent('code', 's')},
  ${text(lastEvent('at', 's'))}
FROM mqsender AS s;
`

/** The views. */
export const views: string = status + peers + stuck
