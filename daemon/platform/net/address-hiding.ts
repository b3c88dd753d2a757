/**
 * The private address behind which anybody may be: in a container a proxy of the engine shows peers
 * from elsewhere as the gateway. Must never guess who is behind it.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { keylessFromOf } from '../keys/policy.ts'
import { isContainer } from '../files/mounts.ts'
import type { Config } from '../config/options.ts'

/** What there is around this process; a test gives its own. */
type NetworkAround = {
  readonly isContainer: boolean
  /** Where packets go that have no other route; undefined when there is none. */
  readonly gateway: Gateway | undefined
}

export type Gateway = { readonly ip: string; readonly networkInterface: string }

/** Whose packets may be anybody's; undefined where no proxy of an engine is between. */
export function proxyIpOf(
  { isContainer: isInside, gateway }: NetworkAround = networkAround(),
): string | undefined {
  return isInside ? gateway?.ip : undefined
}

/** What `--keyless-from private` means in a container; undefined where it means what it says. */
export function addressHidingWarning(
  config: Pick<Config, 'keylessFrom' | 'keylessTokens'>,
  hasRing: boolean,
  around: NetworkAround = networkAround(),
): string | undefined {
  const ip = proxyIpOf(around)
  if (keylessFromOf(config, hasRing) !== 'private' || ip === undefined) return undefined
  return (
    'This container takes messages without a key, and a port that is published through a proxy ' +
    '(IPv6, a restarted container, rootless Docker, Docker Desktop, a load balancer) shows every ' +
    `peer under a private address. From ${ip}, the gateway, only databases that are known here ` +
    'are taken. Behind a proxy with another private address everybody who reaches the port may ' +
    'send: that cannot be seen from here. Give every token a key (--keys), or publish the port ' +
    'to a private address of the host (docs/networking.md).'
  )
}

function networkAround(): NetworkAround {
  const gateway = gatewayIn(read('/proc/net/route'))
  // With the network of the host packets come as they are.
  const isOwn = gateway === undefined || isVirtual(gateway.networkInterface)
  return { isContainer: isContainer() && isOwn, gateway }
}

/** The kernel has it in place of hardware: one end of a pair that leads to the engine's bridge. */
function isVirtual(networkInterface: string): boolean {
  try {
    return readlinkSync(`/sys/class/net/${networkInterface}`).includes('/virtual/')
  } catch {
    return true
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The IPv4 gateway of /proc/net/route; its addresses are numbers in the byte order of x86. */
export function gatewayIn(text: string): Gateway | undefined {
  for (const line of text.split('\n').slice(1)) {
    const [networkInterface = '', destination, gateway = ''] = line.trim().split(/\s+/)
    if (destination !== '00000000' || !/^[\dA-F]{8}$/i.test(gateway)) continue
    const bytes = [...Buffer.from(gateway, 'hex')].toReversed()
    if (bytes.some((byte) => byte !== 0)) return { ip: bytes.join('.'), networkInterface }
  }
  return undefined
}
