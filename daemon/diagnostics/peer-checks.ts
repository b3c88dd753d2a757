/**
 * Whether the machines that rows go to can be found and answer: each name is looked up and each
 * address asked for a sign of life that opens no session. Must never send more than the daemon
 * would.
 */
import { adviceOf } from '../../sdk/schema/stuck-view.ts'
import { probe } from './liveness.ts'
import { isLoopback } from '../protocol/io.ts'
import { lookupsAtOnce, NameProcess } from '../platform/net/name-process.ts'
import { Resolver, type Lookup, type Resolved } from '../platform/net/resolver.ts'
import { okFinding, sqlText, warnFinding, type Finding } from './finding.ts'
import { rowsText, type Destination } from './database-checks.ts'
import { ownAddresses } from '../platform/net/ip.ts'

const answerMs = 2_000
/** At a time: sockets and patience are few. */
const askedMax = 16

/** `ownPort`: of the daemon of this database, if one runs; the system's addresses if left out. */
export type Machine = {
  readonly ownPort: number | undefined
  readonly ownIps?: readonly string[]
  readonly names?: Lookup
}

export async function peerFindings(
  destinations: readonly Destination[],
  { ownPort, ownIps = ownAddresses(), names }: Machine,
): Promise<Finding[]> {
  const isOwn = (ip: string, port: number): boolean =>
    port === ownPort && (isLoopback(ip) || ownIps.includes(withoutScope(ip)))
  const hosts = destinations.map(({ host }) => host)
  const ipsOf = await lookUp(hosts, names)
  const findings: Finding[] = []
  for (let at = 0; at < destinations.length; at += askedMax) {
    const some = destinations.slice(at, at + askedMax)
    findings.push(
      ...(await Promise.all(some.map((to) => peerFinding(to, ipsOf.get(to.host), isOwn)))),
    )
  }
  return findings
}

function withoutScope(ip: string): string {
  return ip.split('%', 1)[0] ?? ip
}

async function lookUp(
  hosts: readonly string[],
  names: Lookup | undefined,
): Promise<Map<string, Resolved>> {
  const process = new NameProcess()
  const wanted = new Set(hosts)
  const found = new Map<string, Resolved>()
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const resolver = new Resolver(
    (resolved) => {
      found.set(resolved.host, resolved)
      if (found.size === wanted.size) resolve(undefined)
    },
    lookupsAtOnce,
    names ?? process.lookup,
  )
  for (const host of wanted) resolver.resolve(host)
  if (wanted.size > 0) await promise
  resolver.stop()
  process.stop()
  return found
}

async function peerFinding(
  to: Destination,
  resolved: Resolved | undefined,
  isOwn: (ip: string, port: number) => boolean,
): Promise<Finding> {
  const { host, port, key, waiting, error, errorCode } = to
  const about = `peer ${host}:${port}`
  const rows = `${rowsText(waiting)} ${waiting === 1 ? 'waits' : 'wait'}`
  const all = resolved?.ips ?? []
  // The daemon does not contact its own address among others: its answer is not the peer's.
  const others = all.filter((ip) => !isOwn(ip, port))
  const ips = others.length > 0 ? others : all
  const own = all.filter((ip) => !ips.includes(ip))
  if (ips.length === 0) {
    const update = `UPDATE mqout SET host = … WHERE host = ${sqlText(host)};`
    const fix = `Fix the name in DNS or /etc/hosts, or send them elsewhere: ${update}`
    return warnFinding(about, `${resolved?.reason ?? 'The name is not known'}; ${rows}.`, fix)
  }
  const signs = await Promise.all(ips.map(async (ip) => probe({ ip, port }, answerMs)))
  if (!signs.includes('answer')) {
    const unsent = signs.find((sign) => typeof sign === 'object')
    if (unsent !== undefined && !signs.includes('silence')) {
      const fix = `Its routes or its own firewall are in the way: ip route get ${ips[0]}`
      return warnFinding(about, `This machine sends nothing there (${unsent.code}); ${rows}.`, fix)
    }
    const fix =
      `Start tinymq there, and let UDP port ${port} in: sudo ufw allow ${port}/udp, or the ` +
      "firewall of the cloud; in a container publish it as the same number: '9000:9000/udp'. " +
      'A machine with several addresses may answer from another one, which a firewall between ' +
      'them drops: start the daemon there with --bind and this address.'
    const not = own.map((ip) => `; ${ip} is an address of this machine too, and is not asked`)
    return warnFinding(about, `No answer from ${ips.join(' and ')}${not.join('')}; ${rows}.`, fix)
  }
  if (error === null && errorCode === null) return okFinding(about, `It answers; ${rows}.`)
  const reason = `${error ?? 'there was a fault'}${errorCode === null ? '' : ` (${errorCode})`}`
  const fix = `${adviceOf(errorCode, key)}; then tinymq retry ${host}:${port}`
  return warnFinding(about, `It answers now, but for these rows: ${reason}; ${rows}.`, fix)
}
