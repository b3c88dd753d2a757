/** The foot of the page: what runs here, and in which time zone times are. */
import type { JSX } from 'preact'
import { shownLine } from '../model/shown-text.ts'
import { usePage } from './page-context.ts'
import { ThemeChoice } from './theme-choice.tsx'

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
