/** The plots of the overview, over a time that one chooses. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { plots } from '../model/plots.ts'
import { spans, type Span } from '../model/timeline.ts'
import { useDaemonNowMs } from './page-context.ts'
import { PlotFigure } from './plot-figure.tsx'
import { Failed } from './state-notes.tsx'
import { useThemeKey } from './theme-choice.tsx'
import { useTimeline } from './use-timeline.ts'

export function PlotsSection(): JSX.Element {
  const [span, setSpan] = useState<Span>(spans[0])
  const { samples, stepMs, loaded } = useTimeline(span)
  const nowMs = useDaemonNowMs()
  const themeKey = useThemeKey()
  return (
    <section aria-labelledby="plots-title">
      <div class="section-head">
        <h2 id="plots-title">Over time</h2>
        <SpanChoice span={span} onChoice={setSpan} />
      </div>
      {loaded.failure === null || samples.length > 0 ? null : (
        <Failed failure={loaded.failure} again={loaded.reload} />
      )}
      <div class="plots">
        {plots.map((plot) => (
          <PlotFigure
            key={plot.title}
            plot={plot}
            span={span}
            samples={samples}
            stepMs={stepMs}
            toMs={nowMs}
            themeKey={themeKey}
          />
        ))}
      </div>
    </section>
  )
}

type ChoiceProps = { readonly span: Span; readonly onChoice: (span: Span) => void }

function SpanChoice({ span, onChoice }: ChoiceProps): JSX.Element {
  return (
    <fieldset class="choice">
      <legend class="off-screen">Time span of the plots</legend>
      {spans.map((one) => (
        <label key={one.label}>
          <input type="radio" name="span" checked={one === span} onChange={() => onChoice(one)} />
          <span>{one.label}</span>
        </label>
      ))}
    </fieldset>
  )
}
