/**
 * The view `mqstuck`: which rows do not move, why, and what to do about it. It goes from what is
 * wrong to the rows, never through the rows to see whether something is wrong: a million rows that
 * move cost it nothing, and so do a million that wait for one peer, as long as a LIMIT or an id is
 * given.
 */

import { keptCode, keptReason } from './triggers.ts'
import { agoS, inS, isLate, isQuiet, untouchedS } from './sql-time.ts'

/** After this the first row of a stream that seems to move is, and a row that no consumer takes. */
const oldS = 3600

type Arm = {
  readonly box: 'outbox' | 'inbox' | 'dead'
  readonly row: string
  readonly at: string
  readonly why: string
  readonly code: string
  readonly reason: string
  readonly advice: string
  readonly retryAt: string
  readonly from: string
}

const arm = ({ box, row, at, why, code, reason, advice, retryAt, from }: Arm): string => `
SELECT '${box}', ${row}.id, ${row}.host, ${row}.port, ${row}.token, ${agoS(at)},
  ${why}, ${code}, ${reason},
  ${advice},
  ${retryAt === 'NULL' ? 'NULL' : inS(retryAt)}
FROM ${from}`

const keptAdvice =
  'give the key ON DELETE CASCADE or SET NULL, or fix the trigger: SELECT detail FROM mqevent'

/** What to do, by the code of a lane or of a parked row. */
const adviceByCode: readonly (readonly [string, string])[] = [
  [
    'TINYMQ_NO_ANSWER',
    'start tinymq there, let its UDP port in, or send elsewhere: UPDATE mqout SET host',
  ],
  [
    'TINYMQ_NOT_SENT',
    'look at the routes, the firewall and --bind of this machine: ip route get ADDRESS',
  ],
  [
    'TINYMQ_UNRESOLVED',
    'fix the name in DNS or /etc/hosts, or send elsewhere: UPDATE mqout SET host',
  ],
  ['TINYMQ_NO_KEY', 'add the key to the ring here and at the peer, or UPDATE mqout SET token'],
  ['TINYMQ_WRONG_KEY', 'give both rings the same key for this token'],
  [
    'TINYMQ_INBOX_CLOSED',
    'fix what the peer says: a key or its name, its --keyless-from, or a trigger on its mqin',
  ],
  ['TINYMQ_SUPERSEDED', 'stop the copy of this database that runs elsewhere'],
  ['TINYMQ_SELF_LOOP', 'the name leads back to this daemon: correct the host'],
  [
    'TINYMQ_AMBIGUOUS',
    'it may be there already: look, then DELETE it or tinymq retry --resend HOST',
  ],
  ['TINYMQ_PEER_STORE', 'look at the disk and the log of the peer'],
  ['TINYMQ_STORE', 'look at the disk of this machine and the log of the daemon'],
  ['TINYMQ_DISK_FULL', 'free space on the disk of the database: all then goes on by itself'],
  [
    'TINYMQ_BUSY',
    'find the program that keeps a write transaction open here (fuser FILE), and end it',
  ],
  [
    'TINYMQ_SCRATCH_FULL',
    'free space where SQLITE_TMPDIR points, or else where the database is; all goes on meanwhile',
  ],
  ['TINYMQ_VERSION', 'update tinymq at the older end'],
  ['TINYMQ_PEER_LIMIT', 'raise message_bytes_max in mqmeta at the peer, or send it in pieces'],
  ['TINYMQ_TOO_LARGE', 'send it in pieces'],
  [keptCode, keptAdvice],
  ['TINYMQ_REFUSED', 'fix what the peer says, or DELETE the row'],
]

const adviceFor = (code: string, otherwise: string): string =>
  `CASE ${code}${adviceByCode
    .map(([name, advice]) => `\n    WHEN '${name}' THEN '${advice}'`)
    .join('')}
    ELSE '${otherwise}' END`

/** Whatever the code says was true when a daemon last looked. */
const startDaemon = 'start the daemon of this database: tinymq check says whether it runs'

const underKey =
  'start tinymq there, let its UDP port in, and compare tinymq keys list here and there'

/** The same for a program; undefined for a code that has none. */
export const remedyFor = (code: string): string | undefined =>
  adviceByCode.find(([name]) => name === code)?.[1]

/** The same for a program that has a lane before it: its code, and its key or ''. */
export function adviceOf(code: string | null, key: string): string {
  if (code === 'TINYMQ_NO_ANSWER' && key !== '') return underKey
  return remedyFor(code ?? '') ?? 'see the log of both daemons'
}

const said = (sentence: string, code: string): string => `coalesce(${sentence}, ${code})`

const parked = arm({
  box: 'outbox',
  row: 'o',
  at: 'o.created_at',
  why: "'parked'",
  code: 'p.code',
  reason: said('p.reason', 'p.code'),
  advice: adviceFor('p.code', 'fix the cause, then tinymq retry ID'),
  retryAt: 'p.retry_at',
  from: 'mqparked AS p CROSS JOIN mqout AS o ON o.id = p.id AND o.uid = p.uid',
})

const kept = arm({
  box: 'outbox',
  row: 'o',
  at: 'o.created_at',
  why: "'delivered'",
  code: `'${keptCode}'`,
  reason: `'${keptReason}'`,
  advice: `'${keptAdvice}'`,
  retryAt: 'NULL',
  // From the few runs that are open to their rows.
  from: `mqbatch AS r CROSS JOIN mqlane AS k ON k.id = r.lane
CROSS JOIN mqout AS o ON o.id BETWEEN r.id_first AND r.id_last AND instr(r.uids, o.uid)
WHERE r.done_at IS NULL AND r.first + r.count - 1 <= k.confirmed`,
})

const waitsFor = (match: string, silence = ''): string =>
  arm({
    box: 'outbox',
    row: 'o',
    at: 'o.created_at',
    why: "'waits for the peer'",
    code: 'l.error_code',
    reason: said('l.error', 'l.error_code'),
    advice: `CASE WHEN ${isLate('l')} THEN '${startDaemon}'${silence}
    ELSE ${adviceFor('l.error_code', 'see the log of this daemon and of the peer')} END`,
    retryAt: 'l.retry_at',
    // From the few lanes to their rows, never the other way: hence CROSS.
    from: `mqlane AS l CROSS JOIN mqout AS o ON o.host = l.host AND o.port = l.port ${match}
WHERE l.error_code IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM mqparked AS p WHERE p.id = o.id AND p.uid = o.uid)`,
  })

/** Under a key: the lane names the token of its rows. */
const waitsUnderKey = waitsFor(
  "AND l.key <> '' AND o.token = CASE l.key WHEN '(no token)' THEN '' ELSE l.key END",
  `\n    WHEN l.error_code = 'TINYMQ_NO_ANSWER' THEN '${underKey}'`,
)

/** Without one: every row that has no lane of its own. */
const waitsWithoutKey = waitsFor(`AND l.key = ''
  AND NOT EXISTS (SELECT 1 FROM mqlane AS k WHERE k.host = o.host AND k.port = o.port
    AND k.state IS NOT 'unused'
    AND k.key = CASE o.token WHEN '' THEN '(no token)' ELSE o.token END)`)

/** Every place that rows go to: a jump along the index for each, however many rows there are. */
const places = `(
  WITH RECURSIVE place (host, port) AS (
    SELECT * FROM (SELECT host, port FROM mqout ORDER BY host, port LIMIT 1)
    UNION ALL
    SELECT
      CASE WHEN EXISTS (SELECT 1 FROM mqout AS o WHERE o.host = place.host AND o.port > place.port)
        THEN place.host
        ELSE (SELECT min(o.host) FROM mqout AS o WHERE o.host > place.host) END,
      coalesce(
        (SELECT min(o.port) FROM mqout AS o WHERE o.host = place.host AND o.port > place.port),
        (SELECT min(o.port) FROM mqout AS o
          WHERE o.host = (SELECT min(n.host) FROM mqout AS n WHERE n.host > place.host)))
    FROM place WHERE place.host IS NOT NULL
  )
  SELECT host, port FROM place WHERE host IS NOT NULL
)`

/** When a row for a place was inserted that the index has first: as a rule it is the oldest. */
const firstOf = (place: string): string =>
  `(SELECT q.created_at FROM mqout AS q WHERE q.host = ${place}.host AND q.port = ${place}.port` +
  ' LIMIT 1)'

const untouched = arm({
  box: 'outbox',
  row: 'o',
  at: 'o.created_at',
  why: "'no daemon'",
  code: 'NULL',
  reason: "'no daemon has looked at it yet'",
  advice: `'${startDaemon}'`,
  retryAt: 'NULL',
  from: `${places} AS place CROSS JOIN mqout AS o ON o.host = place.host AND o.port = place.port
WHERE NOT EXISTS (SELECT 1 FROM mqlane AS l WHERE l.host = place.host AND l.port = place.port)
  AND ${agoS(firstOf('place'))} > ${untouchedS}
  AND ${agoS('o.created_at')} > ${untouchedS}`,
})

const old = arm({
  box: 'outbox',
  row: 'o',
  at: 'o.created_at',
  why: `CASE WHEN ${isQuiet('l')} THEN 'no progress' ELSE 'old' END`,
  code: 'NULL',
  reason: `CASE WHEN ${isQuiet('l')}
    THEN 'nothing of its lane was completed for a minute, and no fault is reported'
    ELSE 'it is the oldest of its lane, which says that all is well' END`,
  advice: "'see whether a daemon runs (tinymq check), or the link is slow (mqpeers)'",
  retryAt: 'NULL',
  from: `mqlane AS l CROSS JOIN mqout AS o ON o.id = (SELECT id FROM mqout AS q
    WHERE q.host = l.host AND q.port = l.port LIMIT 1)
WHERE l.error_code IS NULL AND l.state IS NOT 'unused'
  AND (${agoS('o.created_at')} > ${oldS}
    OR (${agoS('o.created_at')} > ${untouchedS} AND ${isQuiet('l')}))
  AND NOT EXISTS (SELECT 1 FROM mqparked AS p WHERE p.id = o.id AND p.uid = o.uid)
  AND NOT EXISTS (SELECT 1 FROM mqlane AS k WHERE k.host = l.host AND k.port = l.port
    AND k.error_code IS NOT NULL)`,
})

const hasRunOut = `${agoS('s.until')} > ${untouchedS}`

const failing = arm({
  box: 'inbox',
  row: 'i',
  at: 'i.arrived_at',
  why: "CASE WHEN s.owner IS NULL THEN 'failed' ELSE 'held' END",
  code: 'NULL',
  reason: `CASE WHEN s.owner IS NULL
    THEN 'attempt ' || s.attempts || ' failed: ' || coalesce(s.error, 'no reason given')
    WHEN ${hasRunOut} THEN 'the consumer ' || s.owner || ' has let its lease run out'
    ELSE 'the consumer ' || s.owner || ' renews its lease, and its handler has not returned for '
      || CAST(${agoS('s.since')} AS INTEGER) || ' s' END`,
  advice: `CASE WHEN s.owner IS NULL OR ${hasRunOut}
    THEN 'look at the log of the consumer; the row is tried again by itself'
    ELSE 'if the handler hangs, end that process: another consumer then takes the row' END`,
  retryAt: `CASE WHEN s.owner IS NULL OR ${hasRunOut} THEN s.until END`,
  from: `mqlease AS s CROSS JOIN mqin AS i ON i.id = s.id
WHERE (s.owner IS NULL AND s.error IS NOT NULL)
  OR (s.owner IS NOT NULL AND (${hasRunOut} OR ${agoS('s.since')} > ${oldS}))`,
})

const unread = arm({
  box: 'inbox',
  row: 'i',
  at: 'i.arrived_at',
  why: "'old'",
  code: 'NULL',
  reason: "'it is the oldest of the inbox that no consumer has taken'",
  advice: "'start a consumer; or DELETE FROM mqin what is done with'",
  retryAt: 'NULL',
  from: `mqin AS i
-- The first without a lease: a few that are held, or fail, must not hide the others.
WHERE i.id = (SELECT q.id FROM mqin AS q
    WHERE NOT EXISTS (SELECT 1 FROM mqlease AS s WHERE s.id = q.id) ORDER BY q.id LIMIT 1)
  AND ${agoS('i.arrived_at')} > ${oldS}`,
})

const dead = arm({
  box: 'dead',
  row: 'd',
  at: 'd.died_at',
  why: "'dead'",
  code: 'NULL',
  reason: "coalesce(d.error, 'no reason given')",
  advice: "'fix the consumer, then tinymq dead redrive ID; or DELETE FROM mqdead'",
  retryAt: 'NULL',
  from: 'mqdead AS d',
})

export const stuck = `
CREATE VIEW IF NOT EXISTS mqstuck (
  box, id, host, port, token, age_s, why, code, reason, advice, retry_in_s
) AS
-- Rows that do not move, why, and what to do: box is outbox (id of mqout), inbox (of mqin) or
-- dead (of mqdead).
${[parked, kept, waitsUnderKey, waitsWithoutKey, untouched, old, failing, unread, dead]
  .map((sql) => sql.trim())
  .join('\nUNION ALL\n')};
`
