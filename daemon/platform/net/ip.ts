/**
 * IP addresses as text in one form, so that two spellings of one address compare equal. Must never
 * resolve a name.
 */
import { networkInterfaces } from 'node:os'
import { isIP } from 'node:net'

const mappedPrefix = '::ffff:'

/**
 * The shortest form in lower case, IPv4 never mapped into IPv6, the scope of a link-local address
 * kept. `ip` must be an IP address.
 */
export function canonicalIp(ip: string): string {
  if (!ip.includes(':')) return ip
  const [address = '', scope] = ip.split('%', 2)
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(short)
  if (mapped !== null) return unmapped(Number(`0x${mapped[1]}`), Number(`0x${mapped[2]}`))
  return scope === undefined ? short : `${short}%${scope}`
}

function unmapped(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/**
 * `canonicalIp` for what the socket says, which is in its shortest form already: for every packet.
 */
export function fromSocket(ip: string): string {
  return ip.startsWith(mappedPrefix) && isIP(ip.slice(mappedPrefix.length)) === 4
    ? ip.slice(mappedPrefix.length)
    : ip
}

/** How a socket for IPv6 and IPv4 names an address. */
export function toDualStack(ip: string): string {
  return ip.includes(':') ? ip : mappedPrefix + ip
}

/** Every address of every interface, sorted, without scopes. */
export function ownAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
  return Array.from(new Set(addresses.map(({ address }) => address))).toSorted()
}
