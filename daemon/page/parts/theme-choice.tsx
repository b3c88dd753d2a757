/** Dark, light, or as the system has it. */
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { applyTheme, readTheme, type Theme } from '../client/theme.ts'

const themes: readonly (readonly [Theme, string])[] = [
  ['system', 'System'],
  ['light', 'Light'],
  ['dark', 'Dark'],
]

export function ThemeChoice(): JSX.Element {
  const [theme, setTheme] = useState(readTheme)
  const onChoice = (next: Theme): void => {
    applyTheme(next)
    setTheme(next)
    dispatchEvent(new Event(changed))
  }
  return (
    <fieldset class="choice">
      <legend class="off-screen">Colours of the page</legend>
      {themes.map(([value, label]) => (
        <label key={value}>
          <input
            type="radio"
            name="theme"
            checked={value === theme}
            onChange={() => onChoice(value)}
          />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  )
}

const changed = 'tinymq-theme'

/** Differs after each change of the theme, by the choice or by the system. */
export function useThemeKey(): string {
  const [count, setCount] = useState(0)
  useEffect(() => {
    const onChange = (): void => setCount((last) => last + 1)
    const queries = ['(prefers-color-scheme: dark)', '(forced-colors: active)'].map((query) =>
      matchMedia(query),
    )
    addEventListener(changed, onChange)
    for (const query of queries) query.addEventListener('change', onChange)
    return () => {
      removeEventListener(changed, onChange)
      for (const query of queries) query.removeEventListener('change', onChange)
    }
  }, [])
  return String(count)
}
