/** What the daemon finds right and wrong with itself, the worst first, each with what to do. */
import type { JSX } from 'preact'
import type { HealthFinding, HealthLevel } from '../../observe/page-api.ts'
import { shownSentence } from '../model/shown-text.ts'
import { worstFirst } from '../model/trouble.ts'
import { LevelIcon } from './icon.tsx'

const levelWords: Record<HealthLevel, string> = { ok: 'Fine', warn: 'Warning', error: 'Error' }

export function Findings({
  findings,
}: {
  readonly findings: readonly HealthFinding[]
}): JSX.Element {
  return (
    <ul class="findings">
      {worstFirst(findings).map((finding) => (
        <li key={`${finding.code} ${finding.sentence}`} class={`finding finding-${finding.level}`}>
          <LevelIcon level={finding.level} />
          <div>
            <p class="finding-sentence">
              <span class="off-screen">{levelWords[finding.level]}: </span>
              <bdi>{shownSentence(finding.sentence)}</bdi> <code class="code">{finding.code}</code>
            </p>
            {finding.hint === '' ? null : (
              <p class="finding-hint">
                <bdi>{shownSentence(finding.hint)}</bdi>
              </p>
            )}
          </div>
        </li>
      ))}
    </ul>
  )
}
