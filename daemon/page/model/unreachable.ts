/** The end of every switch over a union. */

/** Never called, if the compiler is right. */
export function unreachable(value: never): never {
  throw new Error(`This cannot be: ${JSON.stringify(value)}.`)
}
