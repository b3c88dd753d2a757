/**
 * Dark or light: as the system has it, unless somebody has chosen here. Must never need storage: it
 * may be forbidden, and then the choice lasts as long as the page.
 */

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
