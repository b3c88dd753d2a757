/**
 * What somebody is typing, told when the typing pauses: a request or a step of the address for each
 * key would be too many (browsers refuse more than a hundred steps in half a minute).
 */
import { useEffect, useRef, useState } from 'preact/hooks'

const pauseMs = 300

export type Typed = {
  readonly text: string
  readonly type: (text: string) => void
  /** Does not wait for the pause. */
  readonly settle: () => void
}

/** `value` is what is true outside: when it changes from there, the text follows. */
export function useTyped(value: string, onSettled: (text: string) => void): Typed {
  const [text, type] = useState(value)
  const told = useRef(value)
  const tell = useRef(onSettled)
  tell.current = onSettled
  const settle = (): void => {
    if (told.current === text) return
    told.current = text
    tell.current(text)
  }
  useEffect(() => {
    // Its own echo is not news: more may have been typed since.
    if (value === told.current) return
    told.current = value
    type(value)
  }, [value])
  useEffect(() => {
    const timer = setTimeout(settle, pauseMs)
    return () => clearTimeout(timer)
  }, [text])
  return { text, type, settle }
}
