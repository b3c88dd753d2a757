/**
 * Our own bugs, said aloud. Kept in production: the daemon exits and is started again. Must never
 * be used on what a peer or a user can cause.
 */

/** What a failed assertion throws; nothing catches it but the program's entry. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/**
 * `sentence` says what should have been true. It is a constant: nothing is built on the hot path.
 */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new AssertionFailure(sentence)
}

/** Closes a `switch` over a union: does not compile while a member is missing. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`A case is missing for ${JSON.stringify(value)}.`)
}
