/**
 * What keeps messages from moving, for `api/health` and the health of the overview: the doctor's
 * findings about the place and the tables, and the peers that are in trouble. Must never send a
 * datagram.
 */
import type Database from 'better-sqlite3'
import { adviceOf } from '../../sdk/schema/stuck-view.ts'
import { surroundings } from '../platform/files/database-path.ts'
import type { Finding, Health, HealthFinding, HealthLevel } from './finding.ts'
import { bufferFinding, pathFindings } from './host-checks.ts'
import { readTables } from './database-checks.ts'

type Trouble = {
  readonly host: string
  readonly port: number
  readonly key: string
  readonly code: string
  readonly error: string | null
  readonly isWaitedFor: number
}

const troublesMax = 50

/** To look for damage takes long: what was found stands for so long. */
const doctorMs = 30_000

export class HealthReport {
  readonly #db: Database.Database
  #found: readonly Finding[] = []
  #foundMs = Number.NEGATIVE_INFINITY

  constructor(db: Database.Database) {
    this.#db = db
  }

  read(nowMs: number): Health {
    const { name } = this.#db
    if (Math.abs(nowMs - this.#foundMs) > doctorMs) {
      this.#foundMs = nowMs
      this.#found = [
        ...pathFindings(name, surroundings()),
        ...readTables(name, nowMs, false).findings,
        ...bufferFinding(),
      ]
    }
    const all = [...this.#found.map(toHealth), ...troubles(this.#db)]
    const findings = all.toSorted(worstFirst)
    return { ok: findings.every(({ level }) => level !== 'error'), findings }
  }
}

const order: readonly HealthLevel[] = ['error', 'warn', 'ok']
const worstFirst = (a: HealthFinding, b: HealthFinding): number =>
  order.indexOf(a.level) - order.indexOf(b.level)

function toHealth({ level, about, sentence, fix }: Finding): HealthFinding {
  return { level, code: about, sentence, hint: fix }
}

/** A peer that does not answer is no fault of this daemon's: rows wait for it, and that is all. */
function troubles(db: Database.Database): HealthFinding[] {
  return db
    .prepare<[], Trouble>(
      `SELECT host, port, key, coalesce(error_code, '') AS code, error,
         EXISTS (SELECT 1 FROM mqout AS o WHERE o.host = l.host AND o.port = l.port) AS isWaitedFor
       FROM mqlane AS l WHERE error_code IS NOT NULL ORDER BY since LIMIT ${troublesMax}`,
    )
    .all()
    .filter(({ isWaitedFor }) => isWaitedFor === 1)
    .map(({ host, port, key, code, error }) => ({
      level: 'warn',
      code,
      sentence: asSentence(`Rows wait for ${host}:${port}: ${error ?? code}`),
      // As `mqstuck` and doctor have it.
      hint: adviceOf(code, key),
    }))
}

/** A reason may end as a question. */
const asSentence = (text: string): string => (/[.?!]$/.test(text) ? text : `${text}.`)
