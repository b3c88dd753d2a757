/** The head of the page: which node this is, how it is, and the ways to the views. */
import type { JSX } from 'preact'
import { hashOf, noQuery, type Route } from '../model/route.ts'
import { shownLine } from '../model/shown-text.ts'
import { headlineOf } from '../model/trouble.ts'
import { LevelIcon, Mark } from './icon.tsx'
import { AsOf } from './link-banner.tsx'
import { usePage } from './page-context.ts'

export function PageHead({ route }: { readonly route: Route }): JSX.Element {
  const { state } = usePage()
  return (
    <header class="head">
      <div class="head-line">
        <a class="brand" href="#/">
          <Mark />
          <span class="brand-name">{shownLine(state.overview?.node.name ?? 'tinymq')}</span>
        </a>
        <Pill />
        <span class="head-end">
          <AsOf state={state} />
        </span>
      </div>
      <nav aria-label="Views">
        <ul class="tabs">
          {tabs.map(([label, to]) => (
            <li key={label}>
              <a href={hashOf(to)} aria-current={isWithin(route, to) ? 'page' : undefined}>
                {label}
              </a>
            </li>
          ))}
        </ul>
      </nav>
    </header>
  )
}

const tabs: readonly (readonly [string, Route])[] = [
  ['Overview', { view: 'overview' }],
  ['Outbox', { view: 'list', box: 'outbox', query: noQuery }],
  ['Inbox', { view: 'list', box: 'inbox', query: noQuery }],
  ['Peers', { view: 'peers', filter: '' }],
  ['Health', { view: 'health' }],
]

function isWithin(route: Route, tab: Route): boolean {
  if (tab.view !== 'list') return route.view === tab.view
  return (route.view === 'list' || route.view === 'message') && route.box === tab.box
}

function Pill(): JSX.Element {
  const { state, findings } = usePage()
  const { overview, link } = state
  const level = link.type === 'live' ? (overview?.health ?? null) : null
  const text = level === null ? unknownText(link.type) : headlineOf(level, findings)
  return (
    <a class={`pill pill-${level ?? 'none'}`} href={hashOf({ view: 'health' })}>
      <LevelIcon level={level} />
      {text}
    </a>
  )
}

const unknownText = (link: string): string => (link === 'lost' ? 'Not connected' : 'Connecting…')
