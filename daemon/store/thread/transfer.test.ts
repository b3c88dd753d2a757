import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { withTransferList } from './transfer.ts'

test('a large array that fills its buffer moves', () => {
  const item = { type: 'receive', bytes: new Uint8Array(2_000).fill(7) }
  const { items, buffers } = withTransferList([item])
  deepEqual(buffers, [item.bytes.buffer])
  const [copy] = structuredClone(items, { transfer: buffers })
  deepEqual(copy, { type: 'receive', bytes: new Uint8Array(2_000).fill(7) })
  equal(item.bytes.length, 0)
})

test('a piece of a larger buffer leaves that buffer alone, and does not take it along', () => {
  const whole = new Uint8Array(100_000).fill(7)
  const { items, buffers } = withTransferList([{ bytes: whole.subarray(10, 3_010) }])
  const [copy] = structuredClone(items, { transfer: buffers })
  deepEqual(
    [copy?.bytes.length, copy?.bytes.buffer.byteLength, whole.length],
    [3_000, 3_000, 100_000],
  )
})

test('small arrays and items without bytes stay where they are', () => {
  const items = [{ bytes: new Uint8Array(16) }, { type: 'scan' }]
  deepEqual(withTransferList(items), { items, buffers: [] })
})
