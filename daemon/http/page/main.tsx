/** Where the page begins: the theme before anything is seen, then the page. */
import { render } from 'preact'
import { App } from './app.tsx'
import { applyTheme, readTheme } from './client/browser.ts'
import { takeToken } from './client/api.ts'
import './page.css'

const place = document.querySelector('#page')
if (place === null) throw new Error('index.html has no element for the page.')

takeToken()
// An address with a token, typed over that of a page that is open: only its end has changed.
globalThis.addEventListener('hashchange', () => {
  if (takeToken()) location.reload()
})
applyTheme(readTheme())
render(<App />, place)
