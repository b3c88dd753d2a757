/** The head of the page: which node this is, how it is, and the ways to the views. */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { applyTheme, readTheme, type Theme } from '../client/browser.ts'
import type { Failure, Link, PageState } from '../model/connection.ts'
import { headlineOf, levelSentences } from '../model/issue.ts'
import { hashOf, noQuery, type Route } from '../model/route.ts'
import { clockText, durationText, shownLine } from '../model/text.ts'
import { Clock, LevelIcon, Mark } from './controls.tsx'
import { usePage } from './hooks.ts'

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

// The foot of the page: what runs here, and in which time zone times are.

export function PageFoot(): JSX.Element {
  const { overview } = usePage().state
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  return (
    <footer class="foot">
      {overview === null ? null : (
        <span>
          tinymq {overview.node.version} · <bdi>{shownLine(overview.node.database)}</bdi>
          {overview.node.canAct ? '' : ' · read-only'}
        </span>
      )}
      <span>
        Times are in {zone}
        {zone === 'UTC' ? '' : '; the pointer over one shows UTC'}.
      </span>
      <ThemeChoice />
    </footer>
  )
}

// Dark, light, or as the system has it.

const themes: readonly (readonly [Theme, string])[] = [
  ['system', 'System'],
  ['light', 'Light'],
  ['dark', 'Dark'],
]

function ThemeChoice(): JSX.Element {
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

// Says that what is seen is old, since when, and why. It is read out when that begins and ends, and
// not with every second between.

export function LinkBanner({ state }: { readonly state: PageState }): JSX.Element {
  const { link } = state
  return (
    <>
      <p class="off-screen" role="status">
        {announcementOf(state)}
      </p>
      {link.type === 'lost' ? <Lost link={link} hasOld={state.overview !== null} /> : null}
    </>
  )
}

function announcementOf({ link, overview, gaps }: PageState): string {
  if (link.type === 'lost') return `Not connected: ${link.failure.message}`
  if (overview === null) return ''
  return `${gaps > 0 ? 'Connected again. ' : ''}${levelSentences[overview.health]}`
}

type LostProps = {
  readonly link: Extract<Link, { readonly type: 'lost' }>
  readonly hasOld: boolean
}

function Lost({ link: { sinceMs, failure }, hasOld }: LostProps): JSX.Element {
  const nowMs = useNowMs()
  return (
    <aside class="banner" aria-label="Connection">
      <p>
        <strong>
          Not connected since {clockText(sinceMs, nowMs)} ({durationText(nowMs - sinceMs)}).
        </strong>{' '}
        {failure.message} <code class="code">{failure.code}</code>
      </p>
      <p>
        {hasOld ? 'What you see below is from then. ' : ''}
        {failure.hint}
      </p>
    </aside>
  )
}

function useNowMs(): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return nowMs
}

/** From when the numbers next to it are. */
function AsOf({ state }: { readonly state: PageState }): JSX.Element | null {
  if (state.overview === null) return null
  return (
    <span class={`as-of as-of-${state.link.type}`}>
      {state.link.type === 'live' ? 'live' : 'as of'} <Clock at={state.overview.at} />
    </span>
  )
}

// What is reported where there is nothing to show: yet, at all, or because something failed.

export function Loading({ what }: { readonly what: string }): JSX.Element {
  return <p class="note quiet">Loading {what}…</p>
}

type FailedProps = { readonly failure: Failure; readonly again: () => void }

export function Failed({ failure, again }: FailedProps): JSX.Element {
  return (
    <div class="note failed" role="alert">
      <p>
        <strong>{failure.message}</strong> <code class="code">{failure.code}</code>
      </p>
      {failure.hint === '' ? null : <p>{failure.hint}</p>}
      <button type="button" onClick={again}>
        Try again
      </button>
    </div>
  )
}

type EmptyProps = { readonly title: string; readonly children?: ComponentChildren }

export function Empty({ title, children }: EmptyProps): JSX.Element {
  return (
    <div class="note empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  )
}
