/**
 * What happens to the daemon of one machine: it is killed, stopped, frozen and thawed at random
 * instants, while it starts, works or stops, and sometimes its files are treated as by a reboot.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { unreachable } from '../../daemon/protocol/assert.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { Member } from './node.ts'

export type Kind =
  | 'SIGKILL at work'
  | 'SIGKILL at start'
  | 'SIGKILL frozen'
  | 'SIGKILL stopping'
  | 'SIGTERM'
  | 'SIGSTOP and SIGCONT'

/** With what is done to the files of a daemon that is gone. */
export type Counted = Kind | '-shm removed' | 'WAL checkpointed'

export type Counts = Record<Counted, number>

const upMsMax = 1_000
const longUpMsMax = 3_000
const frozenMsMax = 600
const startingMsMax = 250
const stoppingMsMax = 30

const ends: readonly { readonly weight: number; readonly kind: Kind }[] = [
  { weight: 60, kind: 'SIGKILL at work' },
  { weight: 12, kind: 'SIGKILL at start' },
  { weight: 6, kind: 'SIGKILL frozen' },
  { weight: 4, kind: 'SIGKILL stopping' },
  { weight: 8, kind: 'SIGTERM' },
  { weight: 10, kind: 'SIGSTOP and SIGCONT' },
]

export function noCounts(): Counts {
  return {
    'SIGKILL at work': 0,
    'SIGKILL at start': 0,
    'SIGKILL frozen': 0,
    'SIGKILL stopping': 0,
    SIGTERM: 0,
    'SIGSTOP and SIGCONT': 0,
    '-shm removed': 0,
    'WAL checkpointed': 0,
  }
}

/** How many times a daemon was killed by SIGKILL. */
export function killsOf(counts: Counts): number {
  return Object.entries(counts)
    .filter(([kind]) => kind.startsWith('SIGKILL'))
    .reduce((sum, [, count]) => sum + count, 0)
}

export class FaultInjector {
  readonly #member: Member
  readonly #random: SeededRandom
  readonly #counts: Counts

  constructor(member: Member, random: SeededRandom, counts: Counts) {
    this.#member = member
    this.#random = random
    this.#counts = counts
  }

  /** Leaves a running daemon behind. */
  async runWhile(isOn: () => boolean): Promise<void> {
    while (isOn()) {
      await sleep(this.#random.next() * (this.#random.chance(0.85) ? upMsMax : longUpMsMax))
      if (isOn()) await this.#disturb(this.#random.oneByWeight(ends).kind)
    }
  }

  async #disturb(kind: Kind): Promise<void> {
    const { daemon } = this.#member.machine
    switch (kind) {
      case 'SIGSTOP and SIGCONT':
        daemon.signal('SIGSTOP')
        await sleep(this.#random.next() * frozenMsMax)
        daemon.signal('SIGCONT')
        this.#counts[kind]++
        return
      case 'SIGKILL frozen':
        daemon.signal('SIGSTOP')
        await sleep(this.#random.next() * frozenMsMax)
        return this.#killed(kind)
      case 'SIGKILL stopping':
        daemon.signal('SIGTERM')
        await sleep(this.#random.next() * stoppingMsMax)
        return this.#killed(kind)
      case 'SIGKILL at start':
        await daemon.kill9()
        this.#member.machine.launch()
        await sleep(this.#random.next() * startingMsMax)
        return this.#killed(kind)
      case 'SIGTERM':
        await this.#stop()
        return this.#startAnew(kind)
      case 'SIGKILL at work':
        return this.#killed(kind)
      default:
        return unreachable(kind)
    }
  }

  async #killed(kind: Kind): Promise<void> {
    await this.#member.machine.daemon.kill9()
    await this.#startAnew(kind)
  }

  async #stop(): Promise<void> {
    const code = await this.#member.machine.daemon.stop()
    if (code !== '0') throw new Error(`${this.#member.name} ended by SIGTERM with ${code}.`)
  }

  async #startAnew(kind: Kind): Promise<void> {
    this.#counts[kind]++
    const luck = this.#random.next()
    if (luck < 0.1) {
      await this.#member.loseSharedMemory()
      this.#counts['-shm removed']++
    } else if (luck < 0.15) {
      await this.#member.checkpoint()
      this.#counts['WAL checkpointed']++
    } else if (luck < 0.4) await sleep(this.#random.next() * upMsMax)
    await this.#member.machine.start()
  }
}
