/**
 * A table that becomes cards where there is no room for it. The roles are reported again, because a
 * browser forgets them when the cards change how rows are laid out.
 */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { HealthLevel } from '../../api-types.ts'
import { copy } from '../client/browser.ts'
import type { Tone } from '../model/issue.ts'
import {
  clockText,
  distanceText,
  distinct,
  durationText,
  exactDurationText,
  exactTimeText,
  nothing,
  shortened,
  shownLine,
} from '../model/text.ts'
import { useDaemonNowMs } from './hooks.ts'

export type Column<Row> = {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: true
  /** As wide as it likes; the others are as wide as they must. */
  readonly isWide?: true
  /** On a card two of these stand side by side, and three of the others. */
  readonly isHalf?: true
}

type TableProps<Row> = {
  readonly caption: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  /** What stays when a row changes. Rows may share one: then their order distinguishes them. */
  readonly keyOf: (row: Row) => string
}

/** The first column is the head of each row. */
export function Table<Row>({ caption, rows, columns, keyOf }: TableProps<Row>): JSX.Element {
  const keys = distinct(rows.map(keyOf))
  return (
    <table class="rows" role="table">
      <caption class="off-screen">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map((column) => (
            <th key={column.title} scope="col" role="columnheader" class={classOf(column)}>
              {column.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row, index) => (
          <tr key={keys[index]} role="row">
            {columns.map((column, index) => (
              <Cell key={column.title} column={column} row={row} isHead={index === 0} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

type CellProps<Row> = {
  readonly column: Column<Row>
  readonly row: Row
  readonly isHead: boolean
}

function Cell<Row>({ column, row, isHead }: CellProps<Row>): JSX.Element {
  const content = column.cell(row)
  if (isHead) {
    return (
      <th scope="row" role="rowheader" class={classOf(column)}>
        {content}
      </th>
    )
  }
  return (
    <td role="cell" class={classOf(column)} data-title={column.title}>
      <span class="cell">{content}</span>
    </td>
  )
}

function classOf<Row>({ isNumber, isWide, isHalf }: Column<Row>): string {
  const classes = { number: isNumber, wide: isWide, half: isHalf }
  return Object.entries(classes)
    .filter(([, is]) => is === true)
    .map(([name]) => name)
    .join(' ')
}

// Copies a text, and says whether it did.

const saidMs = 2_000

type CopyButtonProps = { readonly text: string; readonly what: string }

export function CopyButton({ text, what }: CopyButtonProps): JSX.Element {
  const [said, setSaid] = useState('')
  useEffect(() => {
    if (said === '') return undefined
    const timer = setTimeout(() => setSaid(''), saidMs)
    return () => clearTimeout(timer)
  }, [said])
  const onClick = async (): Promise<void> =>
    setSaid((await copy(text)) ? 'Copied' : 'Not allowed here')
  return (
    <>
      <button
        type="button"
        class="small"
        aria-label={`Copy ${what}`}
        onClick={() => void onClick()}
      >
        {said === '' ? 'Copy' : said}
      </button>
      <span class="off-screen" role="status">
        {said === '' ? '' : `${said}: ${what}`}
      </span>
    </>
  )
}

// Lines to be copied: a command, the data of a message.

type CodeBlockProps = {
  readonly title: string
  /** What the button copies; without it there is no button. */
  readonly text: string | null
  readonly children: ComponentChildren
}

/** It scrolls by itself, so it can have the focus: the keyboard scrolls it too. */
export function CodeBlock({ title, text, children }: CodeBlockProps): JSX.Element {
  return (
    <div class="code-block">
      <div class="code-head">
        <span>{title}</span>
        {text === null ? null : <CopyButton text={text} what={title} />}
      </div>
      <pre tabIndex={0} role="region" aria-label={title}>
        {children}
      </pre>
    </div>
  )
}

// The few pictures of the page. Must never say anything that is not said in words next to it.

const paths = {
  ok: 'M4.5 10.5 8.5 14.5 15.5 6',
  warn: 'M10 4.500v7M10 15.200v.1',
  error: 'M5.5 5.500l9 9M14.5 5.500l-9 9',
} as const

export function LevelIcon({ level }: { readonly level: HealthLevel | null }): JSX.Element {
  return (
    <svg class={`level level-${level ?? 'none'}`} viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="10" cy="10" r="10" />
      <path d={level === null ? 'M6 10h8' : paths[level]} />
    </svg>
  )
}

/** A row that goes from one table to another. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path class="mark-rows" d="M7 10h9M7 22h9" />
      <path d="M7 16h17M19.5 10.5 25 16l-5.5 5.5" />
    </svg>
  )
}

// A list of facts: what, and how much of it.

export type Fact = readonly [name: string, value: ComponentChildren]

export function Facts({ facts }: { readonly facts: readonly Fact[] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

// One number that matters, with what belongs to it, and the way to what is behind it.

type TileProps = {
  readonly label: string
  readonly value: ComponentChildren
  readonly note: ComponentChildren
  readonly href?: string
  readonly tone?: 'warn' | 'error' | undefined
}

export function Tile({ label, value, note, href, tone }: TileProps): JSX.Element {
  return (
    <li class={`tile ${tone === undefined ? '' : `tile-${tone}`}`}>
      <span class="tile-label">{href === undefined ? label : <a href={href}>{label}</a>}</span>
      <span class="tile-value">{value}</span>
      <span class="tile-note">{note}</span>
    </li>
  )
}

// Times and ages, each with its exact value behind it.

/** `4 min ago`, or `in 12 s`. */
export function Distance({ at }: { readonly at: number | null }): JSX.Element {
  const nowMs = useDaemonNowMs()
  if (at === null) return <span class="quiet">{nothing}</span>
  return (
    <time dateTime={exactTimeText(at)} title={exactTimeText(at)}>
      {distanceText(at, nowMs)}
    </time>
  )
}

/** `03:12:05`, with the date when it is another day. */
export function Clock({ at }: { readonly at: number }): JSX.Element {
  const nowMs = useDaemonNowMs()
  return (
    <time dateTime={exactTimeText(at)} title={exactTimeText(at)}>
      {clockText(at, nowMs)}
    </time>
  )
}

/** `for 4 min`: how long it has been so. */
export function For({ since }: { readonly since: number }): JSX.Element {
  const nowMs = useDaemonNowMs()
  return (
    <time dateTime={exactTimeText(since)} title={`since ${exactTimeText(since)}`}>
      for {durationText(nowMs - since)}
    </time>
  )
}

/** What was to come when it was read, and may be under way now. */
export function NextTry({ at }: { readonly at: number }): JSX.Element {
  const nowMs = useDaemonNowMs()
  if (at <= nowMs) return <>Next try now.</>
  return (
    <>
      Next try <Distance at={at} />.
    </>
  )
}

/** `3 h 5 min`. */
export function Duration({ ms }: { readonly ms: number | null }): JSX.Element {
  if (ms === null) return <span class="quiet">{nothing}</span>
  return <span title={exactDurationText(ms)}>{durationText(ms)}</span>
}

// Foreign words in a line: addresses, tokens. Must never let one bend what is next to it.

const wordCharsMax = 80
const titleCharsMax = 400

/** What somebody else has named, cut to a length that a table bears. */
export function Word({ text }: { readonly text: string }): JSX.Element {
  if (text === '') return <span class="quiet">{nothing}</span>
  const shown = shownLine(shortened(text, titleCharsMax))
  const short = shortened(shown, wordCharsMax)
  return (
    <bdi class="word" title={short === text ? undefined : shown}>
      {short}
    </bdi>
  )
}

export function Address(props: {
  readonly host: string
  readonly port: number | null
}): JSX.Element {
  const { host, port } = props
  if (host === '') return <Word text={host} />
  return (
    <span class="address">
      <Word text={host} />
      {port === null ? '' : `:${port}`}
    </span>
  )
}

/** A state: its word says it, its colour only helps. */
export function Tag({ tone, text }: { readonly tone: Tone; readonly text: string }): JSX.Element {
  return <span class={`tag tag-${tone}`}>{text}</span>
}
