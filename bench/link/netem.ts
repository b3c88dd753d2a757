/**
 * The link as the kernel makes it: three namespaces in a row, each way first a queue that is served
 * at a rate (tbf), and then, in the middle, netem with delay and loss. The namespaces live as long
 * as the processes that hold them.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type End, type Link, type LinkConditions, type LinkCounters, runAt } from './link.ts'

const nets = ['10.77.1', '10.77.2'] as const
/** What may leave at once after a pause; the kernel's timers are not finer than this. */
const burstBytes = 6_000
/** Packets that netem holds while they are delayed: enough for a gigabit of small ones. */
const delayedPackets = 100_000

/** Why there can be no link of this kind here; undefined: there can be one. */
export function whyNoNetem(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces take root'
  try {
    const probe = 'tc qdisc add dev lo root netem loss 1% && tc qdisc show dev lo'
    const words = ['--net', 'sh', '-c', probe]
    const reported = execFileSync('unshare', words, { encoding: 'utf8', stdio: 'pipe' })
    return reported.includes('netem') ? undefined : 'tc does not show netem'
  } catch {
    return 'this kernel has no sch_netem, or tc is missing'
  }
}

/** A namespace with a process in it that does nothing else. */
class Held {
  readonly #process: ChildProcess
  readonly pid: number
  readonly prefix: readonly string[]

  private constructor(process: ChildProcess, pid: number) {
    this.#process = process
    this.pid = pid
    this.prefix = ['nsenter', `--net=/proc/${pid}/ns/net`, '--']
  }

  static async open(): Promise<Held> {
    const shell = 'echo here && exec cat'
    const words = ['--pdeathsig', 'KILL', '--', 'unshare', '--net', 'sh', '-c', shell]
    const holder = spawn('setpriv', words, { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(holder.stdout, 'data')
    return new Held(holder, holder.pid ?? 0)
  }

  run(...words: readonly string[]): string {
    return runAt(this.prefix, ...words)
  }

  async end(): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.stdin?.end()
    await ended
  }
}

export class NetemLink implements Link {
  readonly kind = 'netem'
  readonly ends: readonly [End, End]
  readonly #namespaces: readonly Held[]

  private constructor(namespaces: readonly Held[], ends: readonly [End, End]) {
    this.#namespaces = namespaces
    this.ends = ends
  }

  static async open(conditions: LinkConditions): Promise<NetemLink> {
    const [near, middle, far] = [await Held.open(), await Held.open(), await Held.open()]
    const end = (side: 0 | 1): End => ({
      ip: `${nets[side]}.1`,
      prefix: (side === 0 ? near : far).prefix,
    })
    const link = new NetemLink([near, middle, far], [end(0), end(1)])
    middle.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    for (const [side, held] of [near, far].entries()) join(middle, held, side, conditions)
    return link
  }

  async counters(): Promise<LinkCounters> {
    const reported = this.#namespaces[0]?.run('tc', '-s', 'qdisc', 'show', 'dev', 'narrow') ?? ''
    const [, sent, dropped] = /Sent \d+ bytes (\d+) pkt \(dropped (\d+)/.exec(reported) ?? []
    return { taken: Number(sent) + Number(dropped), dropped: Number(dropped) }
  }

  async reported(): Promise<string> {
    return 'The link was netem and tbf of the kernel.'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const held of this.#namespaces) await held.end()
  }
}

/** Joins an end to the middle, with its queue on its own side and the wire on the other. */
function join(middle: Held, end: Held, side: number, conditions: LinkConditions): void {
  const { bytesPerSecond, bufferBytes, delayUs, jitterUs = 0, loss } = conditions
  const [net = '', port] = [nets[side], `port${side}`]
  const peer = ['peer', 'name', 'narrow', 'netns', String(end.pid)]
  middle.run('ip', 'link', 'add', port, 'type', 'veth', ...peer)
  middle.run('ip', 'address', 'add', `${net}.254/24`, 'dev', port)
  middle.run('ip', 'link', 'set', port, 'up')
  end.run('ip', 'link', 'set', 'lo', 'up')
  end.run('ip', 'address', 'add', `${net}.1/24`, 'dev', 'narrow')
  // What the kernel hands over in one piece would pass the narrow place in one piece.
  end.run('ip', 'link', 'set', 'dev', 'narrow', 'gso_max_segs', '1', 'up')
  end.run('ip', 'route', 'add', 'default', 'via', `${net}.254`, 'congctl', 'cubic')
  const rate = ['rate', `${bytesPerSecond * 8}bit`, 'burst', String(burstBytes)]
  const queue = ['tbf', ...rate, 'limit', String(bufferBytes)]
  end.run('tc', 'qdisc', 'add', 'dev', 'narrow', 'root', ...queue)
  const wire = ['netem', 'limit', String(delayedPackets), 'delay', `${delayUs}us`]
  const late = jitterUs > 0 ? [`${jitterUs}us`] : []
  const losing = loss > 0 ? ['loss', `${loss * 100}%`] : []
  middle.run('tc', 'qdisc', 'add', 'dev', port, 'root', ...wire, ...late, ...losing)
}
