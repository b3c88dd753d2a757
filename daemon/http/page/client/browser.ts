/** The clipboard. Must never claim to have copied what it has not. */

/** Whether it is there now. Browsers offer it to pages from https and from localhost only. */
export async function copy(text: string): Promise<boolean> {
  try {
    // On a page over plain http there is no clipboard, whatever the types say.
    const clipboard = navigator.clipboard as Clipboard | undefined
    if (clipboard === undefined) return copyBySelection(text)
    await clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** The old way, which works over plain http too. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'off-screen'
  const before = document.activeElement
  // Within an open dialog nothing outside can have the focus.
  const place = before?.closest('dialog') ?? document.body
  place.append(area)
  area.select()
  // oxlint-disable-next-line typescript/no-deprecated -- there is no other way without https
  const done = document.execCommand('copy')
  area.remove()
  if (before instanceof HTMLElement) before.focus()
  return done
}

// Dark or light: as the system has it, unless somebody has chosen here. Must never need storage: it
// may be forbidden, and then the choice lasts as long as the page.

export type Theme = 'system' | 'light' | 'dark'

const key = 'tinymq-theme'

export function readTheme(): Theme {
  try {
    const stored = localStorage.getItem(key)
    return stored === 'light' || stored === 'dark' ? stored : 'system'
  } catch {
    return 'system'
  }
}

/** Shows the theme and remembers it. */
export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  try {
    if (theme === 'system') localStorage.removeItem(key)
    else localStorage.setItem(key, theme)
  } catch {
    // It lasts as long as the page.
  }
}
