/**
 * Draws which statements of a store's turns fail, and how: at most one in each transaction. Must
 * never draw what SQLite does not return at that statement.
 */
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { FaultAt, StatementFault } from './store/statement-faults.ts'

/** SQLite rolls the transaction back. */
const full: StatementFault = { code: 'SQLITE_FULL', rollsBack: true }
/** The transaction stays open, with all that was written before. */
const noMemory: StatementFault = { code: 'SQLITE_NOMEM', rollsBack: false }
/** Another program holds the lock. */
const busy: StatementFault = { code: 'SQLITE_BUSY', rollsBack: false }

/** A turn that only reads may fail too, as often as a transaction if it has so many statements. */
const readsPerTurn = 50
/** The fault comes within so many statements, or at the COMMIT. */
const statements: readonly number[] = [1, 4, 12, 40]

/** @param part of the transactions that fail. */
export function turnFaults(random: SeededRandom, part: number): FaultAt {
  let isInside = false
  /** Statements before the one that fails. */
  let left: number | undefined
  const fail = (fault: StatementFault): StatementFault => {
    isInside = false
    left = undefined
    return fault
  }
  return (sql) => {
    if (sql === 'BEGIN IMMEDIATE') {
      isInside = true
      left = random.chance(part) ? random.below(random.one(statements)) : undefined
      return left === 0 ? fail(random.one([busy, noMemory, full])) : undefined
    }
    if (!isInside) return random.chance(part / readsPerTurn) ? noMemory : undefined
    if (sql === 'COMMIT') {
      isInside = false
      return left === undefined ? undefined : fail(full)
    }
    if (left === undefined || --left > 0) return undefined
    return fail(random.one([full, noMemory]))
  }
}
