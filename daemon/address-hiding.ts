/**
 * Whether peers from elsewhere may seem to come from a private address: in a container a proxy of
 * the engine hides theirs. Must never guess who is behind it.
 */
import { readFileSync } from 'node:fs'
import { isContainer } from './mounts.ts'
import type { Config } from './options.ts'

/** What there is around this process; a test gives its own. */
export type NetworkAround = {
  readonly isContainer: boolean
  /** Where packets go that have no other route; undefined when there is none. */
  readonly gateway: string | undefined
}

/** Why `--keyless-from private` may let everybody send here; undefined when it does not. */
export function addressHidingWarning(
  { keylessFrom }: Pick<Config, 'keylessFrom'>,
  hasRing: boolean,
  around: NetworkAround = networkAround(),
): string | undefined {
  const { gateway } = around
  if (hasRing || keylessFrom !== 'private' || !around.isContainer) return undefined
  if (gateway === undefined) return undefined
  return (
    `This container has no key ring, and a port that is published through a proxy (IPv6, a ` +
    `restarted container, rootless Docker, Docker Desktop, a load balancer) shows every peer as ` +
    `${gateway}, a private address: then everybody who reaches the port may send. Give it a key ` +
    `ring (--keys), or publish the port to a private address of the host (docs/networking.md).`
  )
}

function networkAround(): NetworkAround {
  return { isContainer: isContainer(), gateway: gatewayIn(readRoutes()) }
}

function readRoutes(): string {
  try {
    return readFileSync('/proc/net/route', 'utf8')
  } catch {
    return ''
  }
}

/** The IPv4 gateway of /proc/net/route; its addresses are numbers in the byte order of x86. */
export function gatewayIn(text: string): string | undefined {
  for (const line of text.split('\n').slice(1)) {
    const [, destination, gateway = ''] = line.trim().split(/\s+/)
    if (destination !== '00000000' || !/^[\dA-F]{8}$/i.test(gateway)) continue
    const bytes = [...Buffer.from(gateway, 'hex')].toReversed()
    if (bytes.some((byte) => byte !== 0)) return bytes.join('.')
  }
  return undefined
}
