/** The life of a message, step by step. */
import type { JSX } from 'preact'
import type { StoryStep } from '../../observe/page-api.ts'
import { distanceText, durationText, exactDurationText } from '../model/age.ts'
import { firstLine, shownSentence } from '../model/shown-text.ts'
import { told } from '../model/story.ts'
import { useDaemonNowMs } from './page-context.ts'
import { Clock } from './time.tsx'

export function Story({ story }: { readonly story: readonly StoryStep[] }): JSX.Element {
  return (
    <section aria-labelledby="story-title">
      <h2 id="story-title">Story</h2>
      <ol class="story">
        {told(story).map(({ at, what, tookMs }, index) => (
          <li key={index}>
            <span class="story-what">
              <bdi>{shownSentence(firstLine(what))}</bdi>
            </span>
            <span class="story-at">
              {at === null ? null : <Clock at={at} />}
              <Took at={at} tookMs={tookMs} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  )
}

type TookProps = { readonly at: number | null; readonly tookMs: number | null }

/** How long after the step before; of what is to come, how long from now. */
function Took({ at, tookMs }: TookProps): JSX.Element | null {
  const nowMs = useDaemonNowMs()
  if (at === null || tookMs === null) return null
  const [text, exact] =
    at > nowMs
      ? [distanceText(at, nowMs), exactDurationText(at - nowMs)]
      : [tookText(tookMs), exactDurationText(tookMs)]
  return <span title={exact}> · {text}</span>
}

/** Clocks of two machines differ: what came before its cause is said so. */
function tookText(ms: number): string {
  if (ms < 0) return `${durationText(-ms)} before, by its clock`
  return ms < 1_000 ? `${ms} ms later` : `${durationText(ms)} later`
}
