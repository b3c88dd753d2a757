/**
 * Addresses as text: keys for maps, and the ranges that an unauthenticated peer on the open
 * internet cannot come from. Must never resolve anything.
 */
import type { Address } from './io.ts'

export function addressKey(address: Address): string {
  return `${address.ip} ${address.port}`
}

export function isSameAddress(one: Address, other: Address): boolean {
  return one.port === other.port && one.ip === other.ip
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.')
}

/** Loopback, private, link-local and carrier-grade ranges (RFC 1918, 6598, 3927, 4193, 4291). */
export function isPrivate(ip: string): boolean {
  if (isLoopback(ip)) return true
  if (ip.includes(':')) return /^(?:f[cd][\da-f]|fe[89ab])[\da-f]:/i.test(ip)
  const [first = 0, second = 0] = ip.split('.', 2).map(Number)
  if (first === 10) return true
  if (first === 172) return second >= 16 && second <= 31
  if (first === 192) return second === 168
  if (first === 169) return second === 254
  return first === 100 && second >= 64 && second <= 127
}

export function showAddress(address: Address): string {
  return address.ip.includes(':')
    ? `[${address.ip}]:${address.port}`
    : `${address.ip}:${address.port}`
}
