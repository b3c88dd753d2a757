/** Where the page begins: the theme before anything is seen, then the page. */
import { type JSX, render } from 'preact'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import './page.css'
import { getHealth, takeToken } from './client/api.ts'
import { unreachable } from './model/connection.ts'
import type { Route } from './model/route.ts'
import { titleOf } from './model/issue.ts'
import { LinkBanner, PageFoot, PageHead } from './parts/frame.tsx'
import { type Page, PageContext, useLoaded, useOverviews, useRoute } from './parts/hooks.ts'
import { HealthView, OverviewView, UnknownView } from './views/overview-view.tsx'
import { ListView, MessageView } from './views/message-view.tsx'
import { PeersView } from './views/peers-view.tsx'
import { applyTheme, readTheme } from './client/browser.ts'

const place = document.querySelector('#page')
if (place === null) throw new Error('index.html has no element for the page.')

takeToken()
// An address with a token, typed over that of a page that is open: only its end has changed.
globalThis.addEventListener('hashchange', () => {
  if (takeToken()) location.reload()
})
applyTheme(readTheme())
render(<App />, place)

// The page: its head, its banner, and the view that the address names. Must never show an
// overview without saying whether it is still true.

const healthMs = 10_000

export function App(): JSX.Element {
  const state = useOverviews()
  const route = useRoute()
  const { overview, link, gaps } = state
  const level = overview?.health ?? null
  const health = useLoaded(getHealth, {
    key: 'health',
    again: `${level} ${gaps}`,
    everyMs: healthMs,
  })
  const isLost = link.type === 'lost'
  const findings = health.value?.findings ?? null
  const page = useMemo<Page>(() => ({ state, findings }), [state, findings])

  const view = nameOf(route)
  const title = titleOf(view, overview?.node.name ?? null, level, isLost)
  useEffect(() => {
    document.title = title
  }, [title])
  const main = useFocusOnChange(view)
  return (
    <PageContext.Provider value={page}>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault()
          main.current?.focus()
        }}
      >
        Skip to the content
      </a>
      <PageHead route={route} />
      <LinkBanner state={state} />
      <main id="content" ref={main} tabIndex={-1} class={isLost ? 'is-old' : ''}>
        <View route={route} />
      </main>
      <PageFoot />
    </PageContext.Provider>
  )
}

function View({ route }: { readonly route: Route }): JSX.Element {
  switch (route.view) {
    case 'overview':
      return <OverviewView />
    case 'health':
      return <HealthView />
    case 'peers':
      return <PeersView filter={route.filter} />
    case 'list':
      return <ListView key={route.box} box={route.box} query={route.query} />
    case 'message':
      return <MessageView key={`${route.box} ${route.id}`} box={route.box} id={route.id} />
    case 'unknown':
      return <UnknownView path={route.path} />
    default:
      return unreachable(route)
  }
}

function nameOf(route: Route): string {
  switch (route.view) {
    case 'overview':
      return 'Overview'
    case 'health':
      return 'Health'
    case 'peers':
      return 'Peers'
    case 'list':
      return route.box === 'outbox' ? 'Outbox' : 'Inbox'
    case 'message':
      return `Row ${route.id} of the ${route.box}`
    case 'unknown':
      return 'Not found'
    default:
      return unreachable(route)
  }
}

/** A screen reader and the keyboard begin at the new view, as after a new page; not at first. */
function useFocusOnChange(view: string): { readonly current: HTMLElement | null } {
  const main = useRef<HTMLElement>(null)
  const last = useRef(view)
  useEffect(() => {
    if (last.current === view) return
    last.current = view
    main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [view])
  return main
}
