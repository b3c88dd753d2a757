/**
 * The blocks of README.md and docs/*.md that somebody may paste, with what the words after the
 * language say of each: where it is pasted, or that no test can.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

/** Blocks in these are shown, not pasted. */
const shown = new Set(['text', 'yaml'])

/**
 * `MachineA`, `MachineB`: on this one of two machines. `stopped`: while its daemon does not run.
 * `docker`, `project`, `system`: not in this test; it needs Docker, a clone, or another machine.
 */
const marksKnown = new Set(['MachineA', 'MachineB', 'stopped', 'docker', 'project', 'system'])

export type Block = {
  readonly line: number
  readonly language: string
  readonly marks: readonly string[]
  readonly text: string
}

export const pages = ['README.md', ...globSync('docs/*.md', { cwd: root }).toSorted()]

/** @throws Error when a block has a mark that nobody knows. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8')
  const fences = text.matchAll(/^ *```(\w+)(?: (.*))?\n([^]*?)^ *```$/gm)
  return Array.from(fences, ({ index, 1: language = '', 2: words = '', 3: body = '' }) => {
    const line = text.slice(0, index).split('\n').length
    const marks = words.split(' ').filter((word) => word !== '')
    for (const mark of marks) {
      if (!marksKnown.has(mark)) throw new Error(`${page}:${line} has the mark ${mark}.`)
    }
    return { line, language, marks, text: body }
  }).filter(({ language }) => !shown.has(language))
}
