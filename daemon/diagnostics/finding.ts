/** What the doctor finds, and how it is shown. Must never look at anything itself. */

import { oneLine } from '../platform/text.ts'

export type Finding = {
  readonly level: HealthLevel
  /** What was looked at, in a word or two. */
  readonly about: string
  readonly sentence: string
  /** What to do; '' when nothing is wrong. */
  readonly fix: string
}

export const okFinding = (about: string, sentence: string): Finding => ({
  level: 'ok',
  about,
  sentence,
  fix: '',
})

export const warnFinding = (about: string, sentence: string, fix: string): Finding => ({
  level: 'warn',
  about,
  sentence,
  fix,
})

export const errorFinding = (about: string, sentence: string, fix: string): Finding => ({
  level: 'error',
  about,
  sentence,
  fix,
})

const marks: { readonly [Kind in HealthLevel]: string } = { ok: 'ok', warn: 'WARN', error: 'ERROR' }

/** A line, and a second one that says what to do. Peers and senders wrote some of it. */
export function findingText({ level, about, sentence, fix }: Finding): string {
  const first = `${marks[level].padEnd(5)}  ${oneLine(`${about}: ${sentence}`)}\n`
  return fix === '' ? first : `${first}       -> ${oneLine(fix)}\n`
}

/**
 * For a statement that is pasted: a host may be what an unauthenticated peer gave as the address to
 * answer.
 */
export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`

// What the diagnosis of a node is for programs: types only. Must never import anything, so that
// the status page can take them as they are.

/**
 * As the log, the page and the events have it. `error`: nothing moves at this machine, or what is
 * there is in danger; `warn`: some rows wait, or all may soon. A peer that is away is no error of
 * this machine: its rows wait, and go when it is back.
 */
export type HealthLevel = 'ok' | 'warn' | 'error'

/** `api/health`; `ok` is false when one of them is an error. */
export type Health = { readonly ok: boolean; readonly findings: readonly HealthFinding[] }

export type HealthFinding = {
  readonly level: HealthLevel
  readonly code: string
  readonly sentence: string
  /** What to do next; '' when there is nothing to do. */
  readonly hint: string
}
