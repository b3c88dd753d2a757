/** What `consume`, `consumeInTransaction` and `inbox` take, and what holds when it is left out. */

import { TinymqError } from '../schema/errors.ts'
import type { OnError } from './batcher.ts'
import type { StandardSchema } from './payload.ts'

/** How to consume. */
export type ConsumeOptions<T = unknown> = {
  /** Only messages with this token. */
  readonly token?: string | undefined
  /** How many handlers run at a time in `consume`: 1 when left out. */
  readonly concurrency?: number | undefined
  /**
   * Keeps to the order of each sender: a message waits until the one before it was completed or is
   * dead, whichever of the consumers has that one. All that compete must say the same.
   */
  readonly ordered?: boolean | undefined
  /** Ends it. */
  readonly signal?: AbortSignal | undefined
  /** After so many attempts a message goes to `mqdead`: 20 when left out, about half an hour. */
  readonly attempts?: number | undefined
  /**
   * How long a message stays with a process that has died or does not come to renew the lease, in
   * milliseconds from 1,000 to 3,600,000: 30,000 when left out.
   */
  readonly leaseMs?: number | undefined
  /** What `payload` must be: any Standard Schema (zod, valibot, arktype and others). */
  readonly schema?: StandardSchema<T> | undefined
  /**
   * Called when a handler has failed or a message has gone to `mqdead`. Left out, a warning of the
   * process says so on stderr, one in ten seconds at most.
   */
  readonly onError?: OnError | undefined
}

/** The longest lease and the longest wait: what lies further ahead comes from a clock set back. */
export const waitMsMax = 3_600_000

/** The same with everything filled in. */
export type Consumption<T> = {
  readonly token: string | null
  readonly concurrency: number
  readonly isOrdered: boolean
  readonly signal: AbortSignal | undefined
  readonly attempts: number
  readonly leaseMs: number
  readonly schema: StandardSchema<T> | undefined
  readonly onError: OnError | undefined
}

/** Test runners and browser-like hosts bring a class of their own. */
const isSignal = (value: Partial<AbortSignal> | null): boolean =>
  typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function'

/** @throws TinymqError TINYMQ_INVALID_ARGUMENT with all that is wrong. */
export function parseConsumeOptions<T>(options: ConsumeOptions<T>): Consumption<T> {
  const { token = null, concurrency = 1, attempts = 20, leaseMs = 30_000 } = options
  const { ordered = false, signal, schema, onError } = options
  const isCount = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1
  const checks: readonly (readonly [boolean, string])[] = [
    [token === null || typeof token === 'string', 'token must be a string'],
    [isCount(concurrency), 'concurrency must be a whole number, 1 or more'],
    [isCount(attempts), 'attempts must be a whole number, 1 or more'],
    [
      typeof leaseMs === 'number' && leaseMs >= 1_000 && leaseMs <= waitMsMax,
      `leaseMs must be a number of milliseconds from 1000 to ${waitMsMax}`,
    ],
    [typeof ordered === 'boolean', 'ordered must be true or false'],
    [signal === undefined || isSignal(signal), 'signal must be an AbortSignal'],
    [
      schema === undefined || typeof schema['~standard']?.validate === 'function',
      'schema must be a Standard Schema: it has no ~standard.validate',
    ],
    [onError === undefined || typeof onError === 'function', 'onError must be a function'],
  ]
  const problems = checks.flatMap(([isGood, sentence]) => (isGood ? [] : [sentence]))
  if (problems.length > 0) throw new TinymqError('TINYMQ_INVALID_ARGUMENT', problems.join('; '))
  return { token, concurrency, isOrdered: ordered, signal, attempts, leaseMs, schema, onError }
}
