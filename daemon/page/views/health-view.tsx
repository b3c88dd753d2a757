/** All that the daemon finds when it looks at itself. */
import type { JSX } from 'preact'
import { headlineOf } from '../model/trouble.ts'
import { Findings } from '../parts/findings.tsx'
import { usePage } from '../parts/page-context.ts'
import { Loading } from '../parts/state-notes.tsx'

export function HealthView(): JSX.Element {
  const { state, findings } = usePage()
  const { overview, link } = state
  return (
    <>
      <div class="view-head">
        <h1>Health</h1>
        {overview === null || link.type === 'lost' ? null : (
          <p class="quiet">{headlineOf(overview.health, findings)}.</p>
        )}
      </div>
      {findings === null ? <NoFindings isLost={link.type === 'lost'} /> : null}
      {findings === null ? null : (
        <div class="note">
          <Findings findings={findings} />
        </div>
      )}
      <p class="quiet view-end">
        <code>tinymq doctor</code> on the machine looks further: at clocks, disks, ports and mounts.
      </p>
    </>
  )
}

function NoFindings({ isLost }: { readonly isLost: boolean }): JSX.Element {
  if (!isLost) return <Loading what="the findings" />
  return <p class="note">While it is not connected, nobody knows.</p>
}
