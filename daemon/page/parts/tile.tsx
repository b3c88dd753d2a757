/** One number that matters, with what belongs to it, and the way to what is behind it. */
import type { ComponentChildren, JSX } from 'preact'

type Props = {
  readonly label: string
  readonly value: ComponentChildren
  readonly note: ComponentChildren
  readonly href?: string
  readonly tone?: 'warn' | 'error' | undefined
}

export function Tile({ label, value, note, href, tone }: Props): JSX.Element {
  return (
    <li class={`tile ${tone === undefined ? '' : `tile-${tone}`}`}>
      <span class="tile-label">{href === undefined ? label : <a href={href}>{label}</a>}</span>
      <span class="tile-value">{value}</span>
      <span class="tile-note">{note}</span>
    </li>
  )
}
