/** What the doctor finds, and how it is told. Must never look at anything itself. */

import { oneLine } from '../../sdk/cli/terminal.ts'

/**
 * As the log, the page and the events have it. `error`: nothing moves at this machine, or what is
 * there is in danger; `warn`: some rows wait, or all may soon. A peer that is away is no error of
 * this machine: its rows wait, and go when it is back.
 */
export type Level = 'ok' | 'warn' | 'error'

export type Finding = {
  readonly level: Level
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

/** Our sentences end in `: what to do.`; a colon without a space may stand in it. */
export function splitAdvice(text: string): { readonly sentence: string; readonly fix: string } {
  const at = text.lastIndexOf(': ')
  return at < 0
    ? { sentence: text, fix: '' }
    : { sentence: text.slice(0, at), fix: text.slice(at + 2) }
}

const marks: { readonly [Kind in Level]: string } = { ok: 'ok', warn: 'WARN', error: 'ERROR' }

/** A line, and a second one that says what to do. Peers and senders wrote some of it. */
export function findingText({ level, about, sentence, fix }: Finding): string {
  const first = `${marks[level].padEnd(5)}  ${oneLine(`${about}: ${sentence}`)}\n`
  return fix === '' ? first : `${first}       -> ${oneLine(fix)}\n`
}

/** For a statement that is pasted: a host may be what a stranger gave as the address to answer. */
export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`
