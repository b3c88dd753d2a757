/**
 * The text format of Prometheus (exposition format 0.0.4). Must never let a label's value be
 * anything but that value.
 */

export type Labels = { readonly [name: string]: string }
export type Sample = { readonly labels?: Labels; readonly value: number }

export type Family = {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly Sample[]
}

export type Histogram = {
  readonly name: string
  readonly type: 'histogram'
  readonly help: string
  /** Upper bounds, without the last class, which has none. */
  readonly bounds: readonly number[]
  /** How many are in each class. */
  readonly counts: readonly number[]
  readonly sum: number
}

export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

export function expositionText(families: readonly (Family | Histogram)[]): string {
  return families.map(familyText).join('')
}

function familyText(family: Family | Histogram): string {
  const { name, type, help } = family
  const lines = family.type === 'histogram' ? histogramLines(family) : sampleLines(family)
  // A family without a sample says nothing.
  if (lines.length === 0) return ''
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

const sampleLines = ({ name, samples }: Family): string[] =>
  samples.map(({ labels, value }) => line(name, labels ?? {}, value))

function histogramLines({ name, bounds, counts, sum }: Histogram): string[] {
  let total = 0
  const buckets = counts.map((count, index) => {
    total += count
    const bound = bounds[index]
    return line(`${name}_bucket`, { le: bound === undefined ? '+Inf' : numberText(bound) }, total)
  })
  return [...buckets, line(`${name}_sum`, {}, sum), line(`${name}_count`, {}, total)]
}

function line(name: string, labels: Labels, value: number): string {
  const list = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  const braces = list.length === 0 ? '' : `{${list.join(',')}}`
  return `${name}${braces} ${numberText(value)}\n`
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}

const escapes: { readonly [character: string]: string } = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }

/** Lone surrogates are not UTF-8. */
function escapeLabel(text: string): string {
  return text.toWellFormed().replace(/[\\"\n]/g, (character) => escapes[character] ?? character)
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (character) => escapes[character] ?? character)
}
