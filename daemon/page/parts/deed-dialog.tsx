/**
 * Asks before something is done to a row, does it, and shows what the daemon said. Must never do
 * anything that was not asked about, nor close before the answer is there.
 */
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Done } from '../../observe/page-api.ts'
import { act, type Answer } from '../client/api.ts'
import type { Deed } from '../model/deed.ts'
import type { Box } from '../model/route.ts'

type Props = {
  readonly box: Box
  readonly id: number
  readonly deed: Deed
  /** Whether something was done. */
  readonly onEnd: (isDone: boolean) => void
}

type State =
  | { readonly type: 'asking' }
  | { readonly type: 'doing' }
  | { readonly type: 'answered'; readonly answer: Answer<Done> }

export function DeedDialog({ box, id, deed, onEnd }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const [state, setState] = useState<State>({ type: 'asking' })
  const close = useRef<HTMLButtonElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  // The button that had the focus is gone.
  useEffect(() => {
    if (state.type === 'answered') close.current?.focus()
  }, [state.type])
  const run = async (): Promise<void> => {
    setState({ type: 'doing' })
    setState({ type: 'answered', answer: await act(box, id, deed) })
  }
  const isDone = state.type === 'answered' && state.answer.type === 'answer'
  return (
    <dialog
      ref={dialog}
      aria-labelledby="deed-question"
      aria-describedby="deed-consequence"
      onCancel={(event) => {
        if (state.type === 'doing') event.preventDefault()
      }}
      onClose={() => onEnd(isDone)}
    >
      <h2 id="deed-question">{deed.question}</h2>
      <p>
        Row {id} of the {box}.
      </p>
      <p id="deed-consequence">{deed.consequence}</p>
      <div role="status">{state.type === 'answered' ? <Said answer={state.answer} /> : null}</div>
      <div class="dialog-buttons">
        {state.type === 'answered' ? null : (
          <button
            type="button"
            class={deed.isDestructive ? 'danger' : 'primary'}
            disabled={state.type === 'doing'}
            onClick={() => void run()}
          >
            {state.type === 'doing' ? 'Doing it…' : deed.label}
          </button>
        )}
        <button
          ref={close}
          type="button"
          disabled={state.type === 'doing'}
          onClick={() => dialog.current?.close()}
        >
          {state.type === 'answered' ? 'Close' : 'Change nothing'}
        </button>
      </div>
    </dialog>
  )
}

function Said({ answer }: { readonly answer: Answer<Done> }): JSX.Element | null {
  if (answer.type === 'aborted') return null
  if (answer.type === 'answer') return <p class="said said-ok">{answer.value.sentence}</p>
  const { message, hint, code } = answer.failure
  return (
    <p class="said said-error">
      <strong>{message}</strong> {hint} <code class="code">{code}</code>
    </p>
  )
}
