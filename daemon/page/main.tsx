/** Where the page begins: the theme before anything is seen, then the page. */
import { render } from 'preact'
import { App } from './app.tsx'
import { applyTheme, readTheme } from './client/theme.ts'
import { takeToken } from './client/token.ts'
import './style/colors.css'
import './style/page.css'
import './style/parts.css'
import './style/tables.css'
import './style/plots.css'

const place = document.querySelector('#page')
if (place === null) throw new Error('index.html has no element for the page.')

takeToken()
// An address with a token, typed over that of a page that is open: only its end has changed.
globalThis.addEventListener('hashchange', () => {
  if (takeToken()) location.reload()
})
applyTheme(readTheme())
render(<App />, place)
