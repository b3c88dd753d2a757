/** What `tinymq bench` has found, and how it is told. Must never measure anything itself. */
import { bytesText } from './table.ts'

/** Milliseconds. */
export type Latency = { readonly p50: number; readonly p99: number; readonly count: number }

export type Figures = {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly rows: number
  readonly bytes: number
  /** The disk of this host alone: the same rows, and one durable commit after the other. */
  readonly local: { readonly rowsPerSecond: number; readonly commit: Latency }
  /** From the commit of the first row until all are known to be on the other disk. */
  readonly bulk: { readonly seconds: number }
  readonly delivered: Latency
  /** Undefined when nobody answers over there. */
  readonly answered: Latency | undefined
  /** What the daemon has measured of the network, where it has. */
  readonly network: { readonly rttMs: number | null; readonly lostPercent: number | null }
}

/** The contract of `--json`. */
export function figuresJson(figures: Figures): object {
  const { host, port, token, rows, bytes, local, bulk, delivered, answered, network } = figures
  return {
    host,
    port,
    token,
    rows,
    bytes,
    rowsPerSecond: rate(rows, bulk.seconds),
    bytesPerSecond: rate(rows * bytes, bulk.seconds),
    localRowsPerSecond: Math.round(local.rowsPerSecond),
    deliveredMs: latencyJson(delivered),
    answeredMs: answered === undefined ? null : latencyJson(answered),
    localCommitMs: latencyJson(local.commit),
    networkRttMs: network.rttMs,
    networkLostPercent: network.lostPercent,
  }
}

const rate = (count: number, seconds: number): number => Math.round(count / seconds)

const latencyJson = ({ p50, p99 }: Latency): object => ({
  p50: Number(p50.toFixed(2)),
  p99: Number(p99.toFixed(2)),
})

/** Lines for people: each figure, and beside it what it is to be held against. */
export function figureLines(figures: Figures): string[] {
  const { host, port, rows, bytes, local, bulk, delivered, answered, network } = figures
  const size = `${rows.toLocaleString('en-US')} rows of ${bytesText(bytes)} to ${host}:${port}`
  const [here, there] = [Math.round(local.rowsPerSecond), rate(rows, bulk.seconds)]
  const flow = `${bytesText(rate(rows * bytes, bulk.seconds))}/s`
  const twice = `two commits here ${(2 * local.commit.p50).toFixed(2)} ms`
  const rtt = network.rttMs === null ? '' : `, round trip ${network.rttMs.toFixed(1)} ms`
  const lost = network.lostPercent === null ? '' : `, ${network.lostPercent.toFixed(1)} % lost`
  const one = `${delivered.count} messages, one by one`
  return [
    size,
    `  on the disk over there  ${perSecond(there)}, ${flow}`,
    `  written here alone      ${perSecond(here)}; ratio ${(there / here).toFixed(2)}`,
    one,
    `  known to be delivered   ${latencyText(delivered)}`,
    ...(answered === undefined ? [] : [`  answered                ${latencyText(answered)}`]),
    `  for comparison          ${twice}${rtt}${lost}`,
  ]
}

const perSecond = (rows: number): string => `${rows.toLocaleString('en-US')} rows/s`

const latencyText = ({ p50, p99 }: Latency): string =>
  `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`

/** From single values in milliseconds. */
export function latencyOf(values: readonly number[]): Latency {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  return { p50: at(0.5), p99: at(0.99), count: values.length }
}
