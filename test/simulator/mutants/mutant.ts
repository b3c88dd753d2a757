/**
 * A deliberate defect: a patch next to this file, with a head that says what it is. Must never
 * apply by guess: a mutant that changes nothing, or something else, proves nothing.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Mutant = {
  readonly name: string
  /** The promises that it breaks. */
  readonly breaks: string
  /**
   * How the name of the scenario begins that catches it, when seeds do so too rarely. Undefined:
   * seeds catch it.
   */
  readonly scenario: string | undefined
  readonly path: string
}

/** All that lie in this folder, by name. @throws when one does not say what it is. */
export function readMutants(folder: string = import.meta.dirname): Mutant[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.patch'))
    .toSorted()
    .map((file) => {
      const path = join(folder, file)
      const text = readFileSync(path, 'utf8')
      const head = /^Defect: (.+)\nBreaks: (.+)\n(?:Scenario: (.+)\n)?/
      const [, name, breaks, scenario] = head.exec(text) ?? []
      if (name === undefined || breaks === undefined) {
        throw new Error(`${path} must begin with "Defect: …" and "Breaks: …".`)
      }
      return { name, breaks, scenario, path }
    })
}

/** Applies it to the tree at `root`. @throws when the sources have changed under the mutant. */
export function applyMutant(mutant: Mutant, root: string): void {
  gitApply(mutant, root, [])
}

/** Only looks whether it does. @throws when the sources have changed under the mutant. */
export function checkMutant(mutant: Mutant, root: string): void {
  gitApply(mutant, root, ['--check'])
}

function gitApply({ name, path }: Mutant, root: string, options: readonly string[]): void {
  try {
    execFileSync('git', ['apply', ...options, path], { cwd: root, stdio: 'pipe' })
  } catch (cause) {
    const sentence = `The defect "${name}" does not apply any more: fix ${path}.`
    throw new Error(sentence, { cause })
  }
}
