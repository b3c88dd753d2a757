import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import {
  bytesText,
  countText,
  estimatePlural,
  estimateText,
  microsText,
  millisText,
  plural,
  rateText,
  shareText,
  shortText,
} from './text.ts'

test('counts have thousands separators, and estimates say that they are', () => {
  equal(countText(1_234_567), '1,234,567')
  equal(estimateText({ value: 10_000, isExact: false }), '≥ 10,000')
  equal(estimateText({ value: 10_000, isExact: true }), '10,000')
  deepEqual(
    [plural(1, 'row'), plural(0, 'row'), plural(2_000, 'row')],
    ['1 row', '0 rows', '2,000 rows'],
  )
})

test('of an estimate of one there may be more', () => {
  equal(estimatePlural({ value: 1, isExact: true }, 'row'), '1 row')
  equal(estimatePlural({ value: 1, isExact: false }, 'row'), '≥ 1 rows')
})

test('a rate that is not zero never reads as zero', () => {
  deepEqual([0, 0.01, 0.25, 3, 9.94, 1_234.5].map(rateText), [
    '0/s',
    '< 0.1/s',
    '0.3/s',
    '3/s',
    '9.9/s',
    '1,235/s',
  ])
  deepEqual([0, 0.0004, 0.034, 0.3, 1].map(shareText), ['0 %', '< 0.1 %', '3.4 %', '30 %', '100 %'])
})

test('sizes and times have the unit that fits', () => {
  deepEqual([0, 1, 1_023, 1_536, 67_108_864, 5 * 1024 ** 4].map(bytesText), [
    '0 B',
    '1 B',
    '1,023 B',
    '1.5 KiB',
    '64 MiB',
    '5 TiB',
  ])
  deepEqual([0, 999, 1_234, 45_000].map(microsText), ['0 µs', '999 µs', '1.2 ms', '45 ms'])
  deepEqual([0.25, 12.3, 1_234, 12_345].map(millisText), ['0.3 ms', '12 ms', '1,234 ms', '12 s'])
})

test('axis labels are short at every size', () => {
  deepEqual([0, 0.5, 950, 1_000, 12_300, 1_500_000, 2e9, 3e12].map(shortText), [
    '0',
    '0.5',
    '950',
    '1k',
    '12.3k',
    '1.5M',
    '2G',
    '3,000G',
  ])
})
