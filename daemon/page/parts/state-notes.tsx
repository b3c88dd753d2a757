/** What is said where there is nothing to show: yet, at all, or because something failed. */
import type { ComponentChildren, JSX } from 'preact'
import type { Failure } from '../model/link.ts'

export function Loading({ what }: { readonly what: string }): JSX.Element {
  return <p class="note quiet">Loading {what}…</p>
}

type FailedProps = { readonly failure: Failure; readonly again: () => void }

export function Failed({ failure, again }: FailedProps): JSX.Element {
  return (
    <div class="note failed" role="alert">
      <p>
        <strong>{failure.message}</strong> <code class="code">{failure.code}</code>
      </p>
      {failure.hint === '' ? null : <p>{failure.hint}</p>}
      <button type="button" onClick={again}>
        Try again
      </button>
    </div>
  )
}

type EmptyProps = { readonly title: string; readonly children?: ComponentChildren }

export function Empty({ title, children }: EmptyProps): JSX.Element {
  return (
    <div class="note empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  )
}
