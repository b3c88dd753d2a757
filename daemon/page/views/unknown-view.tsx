/** An address that names nothing here. */
import type { JSX } from 'preact'
import { shortened, shownLine } from '../model/shown-text.ts'
import { Empty } from '../parts/state-notes.tsx'

export function UnknownView({ path }: { readonly path: string }): JSX.Element {
  return (
    <>
      <h1>Not found</h1>
      <Empty title="There is no such view.">
        <p>
          <code>{shortened(shownLine(path), 100)}</code> names nothing here.{' '}
          <a href="#/">To the overview</a>
        </p>
      </Empty>
    </>
  )
}
