/** Hexadecimal digits for tests and vectors. Must never be used outside tests. */
import { assert } from '../../daemon/protocol/assert.ts'

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Spaces between the digits are allowed and mean nothing. */
export function fromHex(digits: string): Uint8Array {
  const dense = digits.replaceAll(' ', '')
  assert(/^([0-9a-f]{2})*$/.test(dense), 'Bytes are written as pairs of hexadecimal digits.')
  return Uint8Array.from(dense.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
