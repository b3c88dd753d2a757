/** What the data of a message means: JSON, and what a schema makes of it. */

import { TinymqError } from '../schema/errors.ts'
import type { Message } from '../inbox-reader.ts'

type Issue = {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}
type Result<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] }

/** What tinymq needs of a Standard Schema (standardschema.dev, version 1). */
export type StandardSchema<T> = {
  readonly '~standard': {
    readonly validate: (value: unknown) => Result<T> | Promise<Result<T>>
    readonly types?: { readonly output: T } | undefined
  }
}

const issuesShown = 5

/** A message does not fit the schema of its consumer: another attempt would end in the same way. */
export class SchemaMismatch extends TinymqError {
  constructor(sentence: string, options?: ErrorOptions) {
    super('TINYMQ_INVALID_PAYLOAD', sentence, options)
  }
}

// Both ignore a byte order mark, which Windows programs write in front of JSON.
const utf8 = new TextDecoder('utf-8', { fatal: true })
const withoutMark = (text: string): string => (text.startsWith('\u{feff}') ? text.slice(1) : text)

/**
 * The data as JSON, whether it came as text or as bytes: many languages send JSON as bytes.
 * @throws TinymqError TINYMQ_INVALID_PAYLOAD
 */
export function parsePayload({ id, data }: Message): unknown {
  try {
    return JSON.parse(typeof data === 'string' ? withoutMark(data) : utf8.decode(data)) as unknown
  } catch (cause) {
    const sentence = `the data of message ${id} is not JSON: ${(cause as Error).message}`
    throw new TinymqError('TINYMQ_INVALID_PAYLOAD', sentence, { cause })
  }
}

/**
 * What the schema makes of the payload, at once when the schema can.
 * @throws SchemaMismatch
 */
export function validPayload<T>(message: Message, schema: StandardSchema<T>): T | PromiseLike<T> {
  const result = schema['~standard'].validate(schemaInput(message))
  return isThenable(result)
    ? result.then((settled) => accepted(message, settled))
    : accepted(message, result)
}

/** A promise of whatever library: `await` would wait for it. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as Partial<PromiseLike<T>> | null | undefined)?.then === 'function'
}

function schemaInput(message: Message): unknown {
  try {
    return parsePayload(message)
  } catch (error) {
    throw new SchemaMismatch((error as Error).message, { cause: error })
  }
}

function accepted<T>({ id }: Message, result: Result<T>): T {
  if (result.issues === undefined) return result.value
  const issues = result.issues.slice(0, issuesShown).map(issueText)
  const more = result.issues.length - issues.length
  if (more > 0) issues.push(`and ${more} more`)
  const sentence = `the payload of message ${id} does not fit its schema: ${issues.join('; ')}`
  throw new SchemaMismatch(sentence)
}

function issueText({ message, path = [] }: Issue): string {
  const keys = path.map((step) => String(typeof step === 'object' ? step.key : step))
  return keys.length === 0 ? message : `${keys.join('.')}: ${message}`
}
