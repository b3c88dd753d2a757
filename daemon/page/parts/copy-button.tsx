/** Copies a text, and says whether it did. */
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { copy } from '../client/copy.ts'

const saidMs = 2_000

type Props = { readonly text: string; readonly what: string }

export function CopyButton({ text, what }: Props): JSX.Element {
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
