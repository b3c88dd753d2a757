/**
 * A table that becomes cards where there is no room for it. The roles are said again, because a
 * browser forgets them when the cards change how rows are laid out.
 */
import type { ComponentChildren, JSX } from 'preact'
import { distinct } from '../model/distinct.ts'

export type Column<Row> = {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: true
  /** As wide as it likes; the others are as wide as they must. */
  readonly isWide?: true
  /** On a card two of these stand side by side, and three of the others. */
  readonly isHalf?: true
}

type Props<Row> = {
  readonly caption: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  /** What stays when a row changes. Rows may share one: then their order tells them apart. */
  readonly keyOf: (row: Row) => string
}

/** The first column is the head of each row. */
export function Table<Row>({ caption, rows, columns, keyOf }: Props<Row>): JSX.Element {
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
