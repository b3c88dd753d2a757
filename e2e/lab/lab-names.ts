/** What a lab calls its parts, and the labels by which Docker finds all of them again. */

import { TinymqError } from '../../sdk/schema/errors.ts'

/** On every container, network and volume of a lab; its value is the lab's name. */
export const labLabel = 'tinymq.lab'

/** On every container of a machine; its value is the machine's name. */
export const machineLabel = 'tinymq.machine'

/** On every container: `wire`, `node` or `app`. */
export const partLabel = 'tinymq.part'

const word = /^[A-Za-z0-9][A-Za-z0-9-]{0,40}$/

/** @throws TinymqError TINYMQ_INVALID_ARGUMENT for what is not fit to be part of a host name. */
export function checkName(what: string, name: string): void {
  if (word.test(name)) return
  throw new TinymqError(
    'TINYMQ_INVALID_ARGUMENT',
    `the name of a ${what} is letters, digits and hyphens, at most 41, and ${name} is not`,
  )
}

/** Docker's name for the network and, with more words, for what belongs to a machine. */
export const dockerName = (lab: string, ...words: readonly string[]): string =>
  ['tinymq', lab, ...words].join('-')

/** `A` stands for `MachineA`; every other name for itself. */
export const fullMachineName = (name: string): string =>
  /^[A-Za-z]$/.test(name) ? `Machine${name.toUpperCase()}` : name
