/**
 * One plot with its words: title, legend with the values under the pointer or the newest ones, a
 * sentence for those who do not see it, and the numbers as a table.
 */
import type { JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { HistorySample } from '../../api-types.ts'
import { drawPlot, type PlotCanvas, type PlotColors } from '../client/plot-canvas.ts'
import { nothing } from '../model/text.ts'
import {
  type Columns,
  columnsOf,
  type Line,
  picked,
  type Plot,
  plots,
  type Span,
  spans,
  summaryOf,
} from '../model/time-series.ts'
import { Clock } from './controls.tsx'
import { Failed, useThemeKey } from './frame.tsx'
import { useDaemonNowMs, useTimeline } from './hooks.ts'

const tableRowsMax = 20

type Props = {
  readonly plot: Plot
  readonly span: Span
  readonly samples: readonly HistorySample[]
  readonly stepMs: number
  /** Where the time axis ends, ms since 1970. */
  readonly toMs: number
  /** Another one makes the plot take its colours again. */
  readonly themeKey: string
}

function PlotFigure({ plot, span, samples, stepMs, toMs, themeKey }: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null)
  const [point, setPoint] = useState<number | null>(null)
  const values = plot.lines.map(({ value }) => value)
  const columns = columnsOf(samples, stepMs, values)
  useCanvas({
    place,
    plot,
    columns,
    range: [toMs / 1_000 - span.minutes * 60, toMs / 1_000],
    themeKey,
    setPoint,
  })

  const at = point ?? columns[0].length - 1
  const time = columns[0][at]
  return (
    <figure class="plot">
      <figcaption class="plot-head">
        <h3>{plot.title}</h3>
        <span class="plot-at">{time === undefined ? '' : <Clock at={time * 1_000} />}</span>
        <ul class="legend">
          {plot.lines.map((line, index) => (
            <LegendItem
              key={line.value}
              line={line}
              index={index}
              text={valueText(plot, columns[index + 1]?.[at])}
            />
          ))}
        </ul>
      </figcaption>
      <div
        class="plot-canvas"
        ref={place}
        role="img"
        aria-label={summaryOf(plot, samples, span.label)}
      />
      <PlotNumbers plot={plot} span={span} samples={samples} />
    </figure>
  )
}

type LegendProps = { readonly line: Line; readonly index: number; readonly text: string }

function LegendItem({ line: { label }, index, text }: LegendProps): JSX.Element {
  return (
    <li>
      <span class={`swatch swatch-${index + 1}`} aria-hidden="true" />
      {label} <strong>{text}</strong>
    </li>
  )
}

function valueText({ text }: Plot, value: number | null | undefined): string {
  return value === null || value === undefined ? nothing : text(value)
}

type CanvasOptions = {
  readonly place: { readonly current: HTMLDivElement | null }
  readonly plot: Plot
  readonly columns: Columns
  readonly range: readonly [number, number]
  readonly themeKey: string
  readonly setPoint: (index: number | null) => void
}

function useCanvas({ place, plot, columns, range, themeKey, setPoint }: CanvasOptions): void {
  const canvas = useRef<PlotCanvas | null>(null)
  useLayoutEffect(() => {
    const element = place.current
    if (element === null) return undefined
    const colors = colorsOf(element)
    const width = element.clientWidth
    const drawn = drawPlot({ element, plot, colors, width, onPoint: setPoint })
    canvas.current = drawn
    const statusService = new ResizeObserver(() => drawn.resize(element.clientWidth))
    statusService.observe(element)
    return () => {
      statusService.disconnect()
      drawn.remove()
    }
  }, [plot, themeKey])
  useEffect(() => canvas.current?.draw(columns, range))
}

/** As the style sheet has them in this theme. */
function colorsOf(element: HTMLElement): PlotColors {
  const figure = element.closest('figure') ?? element
  const swatches = [...figure.querySelectorAll('.swatch')]
  const { color, borderTopColor } = getComputedStyle(element)
  return {
    lines: swatches.map((swatch) => getComputedStyle(swatch).borderTopColor),
    text: color,
    grid: borderTopColor,
  }
}

type NumbersProps = Pick<Props, 'plot' | 'span' | 'samples'>

/** Made only when it is opened: it changes every second. */
function PlotNumbers({ plot, span, samples }: NumbersProps): JSX.Element {
  const [isOpen, setOpen] = useState(false)
  return (
    <details class="numbers" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        Numbers<span class="off-screen"> of {plot.title}</span>
      </summary>
      {isOpen ? (
        <table>
          <caption class="off-screen">
            {plot.title}, last {span.label}
          </caption>
          <thead>
            <tr>
              <th scope="col">Time</th>
              {plot.lines.map(({ value, label }) => (
                <th key={value} scope="col" class="number">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {picked(samples, tableRowsMax).map((sample) => (
              <tr key={sample.at}>
                <th scope="row">
                  <Clock at={sample.at} />
                </th>
                {plot.lines.map(({ value }) => (
                  <td key={value} class="number">
                    {valueText(plot, sample[value])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </details>
  )
}

// The plots of the overview, over a time that one chooses.

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
