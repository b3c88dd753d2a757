/**
 * Where in the page one is, as the part of the address behind `#`: so that every view has a link,
 * the back button works, and no server or prefix is asked. Must never fail on what people paste.
 */
import type { OutboxState, Rows, SearchBy } from '../../api-types.ts'
import { type Failure, unreachable } from './connection.ts'

export type Box = 'outbox' | 'inbox'

/** What is looked for in a box. */
export type Query = {
  readonly search: string
  readonly by: SearchBy
  /** Of the outbox. */
  readonly state: OutboxState | 'any'
  /** Of the inbox: the dead letters instead. */
  readonly isDead: boolean
}

export type Route =
  | { readonly view: 'overview' | 'health' }
  | { readonly view: 'peers'; readonly filter: string }
  | { readonly view: 'list'; readonly box: Box; readonly query: Query }
  | { readonly view: 'message'; readonly box: Box; readonly id: number }
  | { readonly view: 'unknown'; readonly path: string }

export const searchBys: readonly SearchBy[] = ['any', 'id', 'host', 'token', 'text']
export const outboxStates: readonly (OutboxState | 'any')[] = [
  'any',
  'waiting',
  'in-flight',
  'parked',
]

export const noQuery: Query = { search: '', by: 'any', state: 'any', isDead: false }

/** `hash` with or without its `#`. */
export function parseRoute(hash: string): Route {
  const [path, rest] = splitOnce(hash.replace(/^#?\/?/, ''), '?')
  const parameters = new URLSearchParams(rest)
  if (path === '') return { view: 'overview' }
  if (path === 'health') return { view: 'health' }
  if (path === 'peers') return { view: 'peers', filter: parameters.get('filter') ?? '' }
  if (path === 'outbox' || path === 'inbox') {
    return { view: 'list', box: path, query: parseQuery(parameters) }
  }
  const [, box, id] = /^(outbox|inbox)\/(\d{1,16})$/.exec(path) ?? []
  if ((box === 'outbox' || box === 'inbox') && Number.isSafeInteger(Number(id))) {
    return { view: 'message', box, id: Number(id) }
  }
  return { view: 'unknown', path }
}

function parseQuery(parameters: URLSearchParams): Query {
  return {
    search: parameters.get('search') ?? '',
    by: oneOf(searchBys, parameters.get('by')) ?? 'any',
    state: oneOf(outboxStates, parameters.get('state')) ?? 'any',
    isDead: parameters.get('dead') === '1',
  }
}

/** The address of a route, with its `#`. What is as usual is left out. */
export function hashOf(route: Route): string {
  switch (route.view) {
    case 'overview':
      return '#/'
    case 'health':
      return '#/health'
    case 'peers':
      return `#/peers${suffixOf({ filter: route.filter })}`
    case 'list':
      return `#/${route.box}${suffixOf(queryParameters(route.box, route.query))}`
    case 'message':
      return `#/${route.box}/${route.id}`
    case 'unknown':
      return `#/${route.path}`
    default:
      return unreachable(route)
  }
}

/** As the daemon and the address take it. */
export function queryParameters(box: Box, query: Query): Record<string, string> {
  return {
    search: query.search,
    by: query.by === 'any' ? '' : query.by,
    state: box === 'inbox' || query.state === 'any' ? '' : query.state,
    dead: box === 'inbox' && query.isDead ? '1' : '',
  }
}

/** `?a=1&b=2` without what is empty, or nothing. */
export function suffixOf(parameters: Record<string, string>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== '')
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function oneOf<T extends string>(values: readonly T[], text: string | null): T | undefined {
  return values.find((value) => value === text)
}

// A list that is read in pieces, the newest first: a page at a time, and a search in as many
// requests as its scan takes. Must never take "no time to look further" for "there is no more".

export type RowsSearch<Row> =
  /** A request is under way. */
  | {
      readonly type: 'asking'
      readonly rows: readonly Row[]
      readonly before: number | null
      /** Rows that were there when this page was asked for. */
      readonly start: number
      /** Requests for this page so far. */
      readonly rounds: number
      /** What an earlier reading found: to be looked at until there is an answer. */
      readonly old: readonly Row[]
    }
  /** A page is there; `next` null: there is no more. `isFull`: not stopped in the middle. */
  | {
      readonly type: 'resting'
      readonly rows: readonly Row[]
      readonly next: number | null
      readonly isFull: boolean
      /** The browser's clock when it was read. */
      readonly readAtMs: number
    }
  | {
      readonly type: 'failed'
      readonly rows: readonly Row[]
      readonly before: number | null
      readonly failure: Failure
    }

export const pageRows = 50

/** Each request looks for 100 ms: after about this many, somebody must want it to go on. */
const roundsMax = 30

export function firstSearch<Row>(old: readonly Row[] = []): RowsSearch<Row> {
  return { type: 'asking', rows: [], before: null, start: 0, rounds: 0, old }
}

/** From the beginning, with the same question. */
export function searchAgain<Row>(search: RowsSearch<Row>): RowsSearch<Row> {
  return search.type === 'asking' ? search : firstSearch(search.rows)
}

/** The rows to look at now. */
export function shownRows<Row>(search: RowsSearch<Row>): readonly Row[] {
  return search.type === 'asking' && search.rounds === 0 && search.start === 0
    ? search.old
    : search.rows
}

/** Goes on where it rests or has failed. */
export function furtherSearch<Row>(search: RowsSearch<Row>): RowsSearch<Row> {
  if (search.type === 'asking') return search
  const { rows } = search
  const before = search.type === 'resting' ? search.next : search.before
  if (search.type === 'resting' && before === null) return search
  return { type: 'asking', rows, before, start: rows.length, rounds: 0, old: [] }
}

export function onAnswer<Row>(
  search: RowsSearch<Row>,
  answer: Rows<Row>,
  nowMs: number,
): RowsSearch<Row> {
  if (search.type !== 'asking') return search
  const rows = [...search.rows, ...answer.rows]
  const rounds = search.rounds + 1
  const isFull = answer.isComplete || rows.length - search.start >= pageRows
  if (!isFull && answer.next !== null && rounds < roundsMax) {
    return { ...search, rows, before: answer.next, rounds }
  }
  return { type: 'resting', rows, next: answer.next, isFull, readAtMs: nowMs }
}

export function onFailure<Row>(search: RowsSearch<Row>, failure: Failure): RowsSearch<Row> {
  if (search.type !== 'asking') return search
  return { type: 'failed', rows: search.rows, before: search.before, failure }
}

/** Somebody has seen enough: it rests where it is. */
export function onStop<Row>(search: RowsSearch<Row>, nowMs: number): RowsSearch<Row> {
  if (search.type !== 'asking') return search
  const { rows, before } = search
  return { type: 'resting', rows, next: before, isFull: false, readAtMs: nowMs }
}
