/** What a checker throws: a promise is broken, by which checker it was found, and the facts. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly checker: string

  constructor(checker: string, message: string) {
    super(message)
    this.checker = checker
  }
}

/** @throws Violation unless it is so. The facts are put together only when they are needed. */
export function expect(isSo: boolean, checker: string, facts: () => string): asserts isSo {
  if (!isSo) throw new Violation(checker, facts())
}
