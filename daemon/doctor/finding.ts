/** What the doctor finds, and how it is told. Must never look at anything itself. */

import { oneLine } from '../../sdk/cli/terminal.ts'

/** `bad`: messages stand still or are in danger; `warning`: they may be soon. */
export type Level = 'ok' | 'warning' | 'bad'

export type Finding = {
  readonly level: Level
  /** What was looked at, in a word or two. */
  readonly about: string
  readonly sentence: string
  /** What to do; '' when nothing is wrong. */
  readonly fix: string
}

export const ok = (about: string, sentence: string): Finding => ({
  level: 'ok',
  about,
  sentence,
  fix: '',
})

export const warning = (about: string, sentence: string, fix: string): Finding => ({
  level: 'warning',
  about,
  sentence,
  fix,
})

export const bad = (about: string, sentence: string, fix: string): Finding => ({
  level: 'bad',
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

const marks: { readonly [Kind in Level]: string } = { ok: 'ok', warning: 'WARN', bad: 'BAD' }

/** A line, and a second one that says what to do. Peers and senders wrote some of it. */
export function findingText({ level, about, sentence, fix }: Finding): string {
  const first = `${marks[level].padEnd(4)}  ${oneLine(`${about}: ${sentence}`)}\n`
  return fix === '' ? first : `${first}      -> ${oneLine(fix)}\n`
}

/** For a statement that is pasted: a host may be what a stranger gave as the address to answer. */
export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`
