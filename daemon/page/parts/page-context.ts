/** What every part of the page may know: the newest overview, the link, the findings. */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { HealthFinding } from '../../observe/page-api.ts'
import { daemonNowMs, firstState, type PageState } from '../model/link.ts'

export type Page = {
  readonly state: PageState
  /** Of the last `api/health`; null before it, and while nothing is heard. */
  readonly findings: readonly HealthFinding[] | null
}

export const PageContext = createContext<Page>({ state: firstState(0), findings: null })

export const usePage = (): Page => useContext(PageContext)

/** The daemon's clock, as of this rendering: the page renders once a second while it hears. */
export function useDaemonNowMs(): number {
  return daemonNowMs(usePage().state, Date.now())
}
