/** Foreign words in a line: addresses, tokens. Must never let one bend what is beside it. */
import type { JSX } from 'preact'
import { nothing } from '../model/quantity.ts'
import { shortened, shownLine } from '../model/shown-text.ts'
import type { Tone } from '../model/trouble.ts'

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
