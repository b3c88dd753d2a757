/**
 * Draws a plot on a canvas with uPlot, in the colours that the style sheet gives. Must never hold
 * the words of the page: what a canvas says is reported next to it too.
 */
import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Columns, Plot } from '../model/time-series.ts'

export type PlotColors = {
  /** Of each line, in their order. */
  readonly lines: readonly string[]
  readonly text: string
  readonly grid: string
}

/** From and to, seconds since 1970. */
export type Range = readonly [from: number, to: number]

export type PlotCanvas = {
  draw(columns: Columns, range: Range): void
  resize(width: number): void
  remove(): void
}

type Options = {
  readonly element: HTMLElement
  readonly plot: Plot
  readonly colors: PlotColors
  readonly width: number
  /** The index of the sample under the pointer, null when there is none. */
  readonly onPoint: (index: number | null) => void
}

const height = 150
const axisPx = 52
const font = '12px system-ui, sans-serif'

export function drawPlot({ element, plot, colors, width, onPoint }: Options): PlotCanvas {
  let range: Range = [0, 1]
  const grid = { stroke: colors.grid, width: 1 }
  const axis = { stroke: colors.text, font, grid, ticks: { show: false } }
  const canvas = new UPlot(
    {
      width,
      height,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, sync: { key: 'plots' }, y: false },
      scales: { x: { range: () => [...range] }, y: { range: (_, __, max) => [0, topOf(max)] } },
      axes: [
        { ...axis, space: 60, size: 28, values: clockLabels },
        {
          ...axis,
          size: axisPx,
          space: 32,
          incrs: [...plot.steps],
          values: (_, splits) => splits.map(plot.axisText),
        },
      ],
      series: [
        {},
        ...plot.lines.map(({ label }, index) => ({
          label,
          stroke: colors.lines[index] ?? colors.text,
          width: 1.5,
          // Reported apart without colours too.
          ...(index === 0 ? {} : { dash: [5, 3] }),
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
    },
    undefined,
    element,
  )
  return {
    draw(columns, next) {
      range = next
      canvas.setData(columns.map((column) => [...column]) as UPlot.AlignedData)
    },
    resize: (next) => canvas.setSize({ width: next, height }),
    remove: () => canvas.destroy(),
  }
}

/** A little room above the highest value, and some when all are zero. */
const topOf = (max: number | null): number => Math.max(1, (max ?? 0) * 1.1)

function clockLabels(_: UPlot, splits: number[], __: number, ___: number, stepS: number): string[] {
  const digits = stepS < 60 ? 8 : 5
  return splits.map((s) => new Date(s * 1_000).toTimeString().slice(0, digits))
}
