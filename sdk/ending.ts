/** How leases end in a turn of a consumer, and how they end when that cannot be. */

import type { Claim, Outcome } from './claims.ts'
import { errorText } from './error-text.ts'
import { fromSqlite, isStatementFailure, TinymqError } from './errors.ts'

/**
 * What must happen in the transaction that ends a lease; false when the lease has been ended by it.
 * What it throws as a `WorkFailure` becomes the outcome, anything else ends the intake.
 */
export type Work = () => boolean

export type Ending = {
  readonly claim: Claim
  readonly outcome: Outcome
  readonly work?: Work | undefined
}

/** The transaction is rolled back, and the message gets this outcome instead. */
export class WorkFailure extends Error {
  readonly outcome: Outcome

  constructor(outcome: Outcome, options: ErrorOptions) {
    super('The handler failed.', options)
    this.outcome = outcome
  }
}

/**
 * What becomes of a message whose handler has failed, or that something of the owner's on the
 * tables (a foreign key, a trigger) does not let go. Undefined: it is no affair of the message.
 */
export function failureOf({ outcome }: Ending, error: unknown): WorkFailure | undefined {
  if (error instanceof WorkFailure) return error
  const isFirst = outcome.type === 'completed' || outcome.type === 'released'
  if (!isFirst || !isStatementFailure(error)) return undefined
  const failed: Outcome = { type: 'failed', error: errorText(error), cause: fromSqlite(error) }
  return new WorkFailure(failed, { cause: error })
}

/** What a consumer gets that comes too late. */
export const leaseLost = ({ message: { id }, attempt }: Claim): TinymqError =>
  new TinymqError(
    'TINYMQ_LEASE_LOST',
    `the lease on message ${id} ended in attempt ${attempt} before it was renewed, ` +
      'and another consumer may have it now',
  )
