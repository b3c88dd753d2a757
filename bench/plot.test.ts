import { equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { type Goal, measured } from './measure.ts'
import { plot } from './plot.ts'

function figure(what: string, figures: readonly number[], goal?: Goal) {
  return measured({ what, unit: 'ms', figures, ...(goal && { goal }) })
}

const most: Goal = { type: 'at most', of: 'figure', value: 8 }
const least: Goal = { type: 'at least', of: 'figure', value: 60 }

/** Left end and width of the bars of this kind. */
function barsOf(svg: string, kind: string): number[][] {
  const found = svg.matchAll(
    new RegExp(
      `<rect x="([\\d.]+)" y="[\\d.]+" width="([\\d.]+)" height="12" class="${kind}"`,
      'g',
    ),
  )
  return Array.from(found, ([, x, width]) => [Number(x), Number(width)]).filter(
    ([, width]) => width !== 12,
  )
}

test('a bar that ends at its goal ends on the line of the goals, whatever the unit', () => {
  const svg = plot([figure('a', [8], most), figure('b', [60], least)])
  const ends = barsOf(svg, 'met').map(([x = 0, width = 0]) => x + width)
  equal(ends.length, 2)
  equal(new Set(ends).size, 1)
  const goals = new Set(Array.from(svg.matchAll(/<line x1="([\d.]+)"[^>]*goal"/g), ([, x]) => x))
  equal(goals.size, 1)
  equal(String(ends[0]), goals.values().next().value)
})

test('half of the goal is a bar of half the length, and missed when the goal asks for more', () => {
  const svg = plot([figure('a', [60], least), figure('b', [30], least)])
  const [[, full = 0] = []] = barsOf(svg, 'met')
  const [[, half = 0] = []] = barsOf(svg, 'missed')
  equal(half, full / 2)
})

test('what does not fit is cut off, marked, and stays within the picture', () => {
  const svg = plot([figure('a', [1_000_000], least)])
  match(svg, /1,000,000 ms ▸/)
  for (const [, x] of svg.matchAll(/x2?="([\d.]+)"/g)) ok(Number(x) <= 980)
})

test('what has no goal is left out, and what is not a number is a bar of no length', () => {
  const svg = plot([figure('free', [1]), figure('broken', [Number.NaN], most)])
  ok(!svg.includes('free'))
  equal(barsOf(svg, 'missed')[0]?.[1], 0)
  ok(!svg.includes('NaN'))
})

test('a long name is squeezed into its room, a short one keeps its letters', () => {
  match(plot([figure('x'.repeat(70), [1], most)]), /textLength="418"/)
  ok(!plot([figure('x'.repeat(50), [1], most)]).includes('textLength'))
})

test('names cannot break the document', () => {
  match(plot([figure('a < b & c > d', [1], most)]), />a &lt; b &amp; c &gt; d</)
})

test('a span of shares is a band between its ends', () => {
  const between: Goal = { type: 'between', of: 'figure', least: 35, most: 70 }
  const svg = plot([figure('share', [50], between)])
  const [, x, width] = /<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="18"/.exec(svg) ?? []
  // The band begins half way to the goal line.
  equal(Number(width), Number(x) - 440)
})
