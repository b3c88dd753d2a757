/** Lines to be copied: a command, the data of a message. */
import type { ComponentChildren, JSX } from 'preact'
import { CopyButton } from './copy-button.tsx'

type Props = {
  readonly title: string
  /** What the button copies; without it there is no button. */
  readonly text: string | null
  readonly children: ComponentChildren
}

/** It scrolls by itself, so it can have the focus: the keyboard scrolls it too. */
export function CodeBlock({ title, text, children }: Props): JSX.Element {
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
