/**
 * What the addresses of the API say, as values. Must never take a word that is not in the contract.
 */
import type { InboxQuery, OutboxQuery } from './tables/row-pages.ts'
import { historyMinutesMax } from './history.ts'
import type { OutboxState, SearchBy } from './page-api.ts'

/** What is wrong with an address, as a sentence. */
export class BadQuery extends Error {
  override readonly name = 'BadQuery'
}

export type Words = { readonly [name: string]: string | undefined }

const limitMax = 200
const searchCharactersMax = 256
const bys: readonly SearchBy[] = ['any', 'id', 'host', 'token', 'text']
const states: readonly (OutboxState | 'any')[] = ['any', 'waiting', 'in-flight', 'parked']

/** @throws BadQuery */
export function outboxQueryOf(words: Words): OutboxQuery {
  refuseOthers(words, ['search', 'by', 'state', 'before', 'limit'])
  return { ...pageOf(words), state: oneOf('state', words['state'], states) }
}

/** @throws BadQuery */
export function inboxQueryOf(words: Words): InboxQuery {
  refuseOthers(words, ['search', 'by', 'dead', 'before', 'limit'])
  return { ...pageOf(words), isDead: oneOf('dead', words['dead'], ['0', '1']) === '1' }
}

/** @throws BadQuery */
export function minutesOf(words: Words): number {
  refuseOthers(words, ['minutes'])
  return wholeNumber('minutes', words['minutes'], 10, 1, historyMinutesMax)
}

/** @throws BadQuery */
export function idOf(text: string | undefined): number {
  return wholeNumber('the id', text, 0, 1, Number.MAX_SAFE_INTEGER)
}

function pageOf(words: Words): Omit<OutboxQuery, 'state'> {
  const text = words['search'] ?? ''
  if (text.length > searchCharactersMax) {
    throw new BadQuery(`search must have at most ${searchCharactersMax} characters`)
  }
  return {
    text,
    by: oneOf('by', words['by'], bys),
    before: wholeNumber(
      'before',
      words['before'],
      Number.MAX_SAFE_INTEGER,
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    limit: wholeNumber('limit', words['limit'], 50, 1, limitMax),
  }
}

function refuseOthers(words: Words, known: readonly string[]): void {
  const strange = Object.keys(words).find((name) => !known.includes(name))
  if (strange === undefined) return
  throw new BadQuery(`there is no parameter like this one; there are ${known.join(', ')}`)
}

/** The first of them where nothing is said. */
function oneOf<Word extends string>(
  name: string,
  text: string | undefined,
  words: readonly Word[],
): Word {
  const word = text === undefined || text === '' ? words[0] : words.find((one) => one === text)
  if (word === undefined) throw new BadQuery(`${name} must be one of ${words.join(', ')}`)
  return word
}

function wholeNumber(
  name: string,
  text: string | undefined,
  otherwise: number,
  min: number,
  max: number,
): number {
  if (text === undefined || text === '') return otherwise
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new BadQuery(`${name} must be a whole number from ${min} to ${max}`)
}
