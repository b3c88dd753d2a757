/**
 * Reads the text format of Prometheus strictly, written from its specification (exposition format
 * 0.0.4) and from nothing else: what it does not take, a scraper may not take either. Must never
 * share code with what writes the format.
 */

type Series = {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}
type ReadFamily = {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly series: readonly Series[]
}

type Building = { name: string; type: string; help: string | undefined; series: Series[] }

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const types = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped'])
const number = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf|NaN)$/

/** @throws Error with the line, where the text is not of the format. */
export function readExposition(text: string): ReadFamily[] {
  if (!text.endsWith('\n')) throw new Error('the last line must end with a line feed')
  const families: Building[] = []
  const seen = new Set<string>()
  for (const line of text.slice(0, -1).split('\n')) {
    try {
      readLine(line, families, seen)
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(line)}`, { cause: error })
    }
  }
  for (const family of families) checkFamily(family)
  return families.map((family) => ({ ...family, help: family.help ?? '' }))
}

function readLine(line: string, families: Building[], seen: Set<string>): void {
  if (line === '') return
  if (line.startsWith('#')) return readComment(line, families)
  const series = readSeries(line)
  const family = families.at(-1)
  if (family === undefined || !belongs(series.name, family)) {
    throw new Error('a sample must follow the TYPE of its own family')
  }
  const labels = Array.from(series.labels, ([name, text]) => `${name} ${JSON.stringify(text)}`)
  const identity = [series.name, ...labels.toSorted((a, b) => (a < b ? -1 : 1))].join('\n')
  if (seen.has(identity)) throw new Error('the same series stands twice')
  seen.add(identity)
  family.series.push(series)
}

function readComment(line: string, families: Building[]): void {
  const match = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line)
  if (match === null) return
  const [, keyword = '', name = '', rest = ''] = match
  if (!metricName.test(name)) throw new Error('this is no name of a metric')
  const last = families.at(-1)
  const family = last?.name === name ? last : { name, type: '', help: undefined, series: [] }
  if (family !== last) {
    if (families.some((one) => one.name === name)) throw new Error('a family stands together')
    families.push(family)
  }
  if (family.series.length > 0) throw new Error('HELP and TYPE come before the samples')
  if (keyword === 'HELP') {
    if (family.help !== undefined) throw new Error('HELP stands once')
    if (rest.replaceAll(/\\[\\n]/g, '').includes('\\'))
      throw new Error('HELP escapes backslash and line feed only')
    family.help = rest
  } else {
    if (family.type !== '' || !types.has(rest)) throw new Error('TYPE stands once, with a type')
    family.type = rest
  }
}

function readSeries(line: string): Series {
  const name = /^[^{ ]*/.exec(line)?.[0] ?? ''
  if (!metricName.test(name)) throw new Error('this is no name of a metric')
  let at = name.length
  const labels = new Map<string, string>()
  if (line[at] === '{') at = readLabels(line, at + 1, labels)
  if (line[at] !== ' ') throw new Error('a space must follow')
  const [value = '', timestamp, ...more] = line.slice(at + 1).split(' ')
  if (!number.test(value)) throw new Error('this is no number')
  if (more.length > 0 || (timestamp !== undefined && !/^-?\d+$/.test(timestamp))) {
    throw new Error('only a timestamp may follow the value')
  }
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) }
}

/** @returns where the labels end, behind the brace. */
function readLabels(line: string, from: number, labels: Map<string, string>): number {
  let at = from
  while (line[at] !== '}') {
    const match = /^([^=]*)="((?:[^"\\]|\\.)*)"(,?)/.exec(line.slice(at))
    const [all = '', name = '', raw = '', comma = ''] = match ?? []
    if (!labelName.test(name)) throw new Error('this is no label')
    if (labels.has(name)) throw new Error('a label stands twice')
    if (raw.replaceAll(/\\[\\"n]/g, '').includes('\\'))
      throw new Error('a label escapes backslash, quote and line feed')
    labels.set(
      name,
      raw.replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one)),
    )
    at += all.length
    if (comma === '' && line[at] !== '}') throw new Error('a comma or a brace must follow')
  }
  return at + 1
}

function belongs(name: string, { name: family, type }: Building): boolean {
  if (name === family) return type !== 'histogram'
  if (type !== 'histogram') return false
  return [`${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name)
}

/** Counters end in _total; buckets grow up to +Inf, which is the count. */
function checkFamily({ name, type, help, series }: Building): void {
  if (type === '' || help === undefined || help === '') throw new Error(`${name} needs TYPE, HELP`)
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`${name} must end in _total`)
  if (type === 'gauge' && name.endsWith('_total')) throw new Error(`${name} is no counter`)
  if (series.length === 0) throw new Error(`${name} has no sample`)
  if (type !== 'histogram') return
  const buckets = series.filter((one) => one.name === `${name}_bucket`)
  const bounds = buckets.map(({ labels }) => labels.get('le')?.replace('Inf', 'Infinity'))
  const counts = buckets.map(({ value }) => value)
  const isGrowing = (list: readonly number[], strictly: boolean): boolean =>
    list.every((value, at) => at === 0 || value - (list[at - 1] ?? 0) >= (strictly ? 1e-12 : 0))
  if (!isGrowing(bounds.map(Number), true)) throw new Error(`${name}: bounds must grow`)
  if (!isGrowing(counts, false)) throw new Error(`${name}: buckets must not shrink`)
  const count = series.find((one) => one.name === `${name}_count`)?.value
  if (bounds.at(-1) !== '+Infinity' || counts.at(-1) !== count) {
    throw new Error(`${name}: the last bucket is +Inf, and the count`)
  }
}

/** The value of one series; undefined when it is not there. */
export function valueOf(
  families: readonly ReadFamily[],
  name: string,
  labels: { readonly [name: string]: string } = {},
): number | undefined {
  const wanted = Object.entries(labels)
  return families
    .flatMap(({ series }) => series)
    .find((one) => one.name === name && wanted.every(([key, text]) => one.labels.get(key) === text))
    ?.value
}
