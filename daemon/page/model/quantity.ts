/**
 * Numbers as an operator reads them: counts, rates, sizes, shares. Must never round away that a
 * number is an estimate, nor show zero for what is not known.
 */
import type { Count } from '../../observe/page-api.ts'

/** For what is not known, or has no meaning there. */
export const nothing = '–'

/** `1234567` → `1,234,567`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `≥ 10,000` for a count that stopped there. */
export function estimateText({ value, isExact }: Count): string {
  return isExact ? countText(value) : `≥ ${countText(value)}`
}

/** `1234.5` → `1,235/s`; one digit more where it matters. */
export function rateText(perS: number): string {
  if (perS > 0 && perS < 0.05) return '< 0.1/s'
  return `${decimalText(perS, perS < 10 ? 1 : 0)}/s`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1536` → `1.5 KiB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), byteUnits.length - 1)
  const value = bytes / 1024 ** power
  return `${decimalText(value, power === 0 || value >= 100 ? 0 : 1)} ${byteUnits[power]}`
}

/** `0.034` → `3.4 %`. */
export function shareText(share: number): string {
  const percent = share * 100
  if (percent > 0 && percent < 0.1) return '< 0.1 %'
  return `${decimalText(percent, percent < 10 ? 1 : 0)} %`
}

/** Microseconds: `1234` → `1.2 ms`. */
export function microsText(us: number): string {
  return us < 1_000 ? `${countText(us)} µs` : millisText(us / 1_000)
}

/** Milliseconds: `12.3` → `12 ms`. */
export function millisText(ms: number): string {
  if (ms >= 10_000) return `${decimalText(ms / 1_000, 0)} s`
  return `${decimalText(ms, ms < 10 ? 1 : 0)} ms`
}

/** `1 row`, `2 rows`; the word is given for one. */
export function plural(count: number, word: string): string {
  return `${countText(count)} ${word}${count === 1 ? '' : 's'}`
}

/** `1 row`, `≥ 10,000 rows`. */
export function estimatePlural(count: Count, word: string): string {
  return `${estimateText(count)} ${word}${count.value === 1 && count.isExact ? '' : 's'}`
}

/** `12300` → `12.3k`, for the axis of a plot. */
export function shortText(value: number): string {
  const units = ['', 'k', 'M', 'G']
  const power = Math.min(Math.floor(Math.log10(Math.max(1, Math.abs(value))) / 3), 3)
  const scaled = value / 1_000 ** power
  return `${Number(scaled.toPrecision(3)).toLocaleString('en-US')}${units[power]}`
}

function decimalText(value: number, digits: number): string {
  // What is whole anyway is shown so: `0/s`, not `0.0/s`.
  const fraction = Number.isInteger(value) ? 0 : digits
  return value.toLocaleString('en-US', {
    minimumFractionDigits: fraction,
    maximumFractionDigits: fraction,
  })
}
