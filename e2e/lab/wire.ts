/**
 * The wire of one machine: a container that owns the network namespace, which the machine's daemon
 * joins, and that makes the network bad in there by `tc` and iptables. So the faults outlive every
 * daemon, and the daemon needs no capability. Must never claim a condition that the kernel has not
 * confirmed, and never touch the nat table: Docker's name server is in there.
 */

import type Dockerode from 'dockerode'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { runInContainer } from './docker-command.ts'
import {
  difference,
  type LinkConditions,
  type LinkReading,
  netemWords,
  parseReading,
} from '../../sdk/testing/link.ts'

/** What the kernel says of a machine's link. */
export type LinkState = LinkReading & {
  /** What `tc qdisc show` prints. */
  readonly text: string
  /** Addresses from which nothing is let in. */
  readonly refused: readonly string[]
  readonly isUp: boolean
  /** The release of the kernel that says so. */
  readonly kernel: string
}

const section = '-- tinymq --'

// The only interface next to loopback, whatever Docker has called it after a reconnection.
const addresses = 'ip -o -4 addr show scope global'
const findDevice = `dev=$(${addresses} | sed -n '1s/^[0-9]*: *\\([^ ]*\\) .*/\\1/p')
[ -n "$dev" ] || { echo 'the machine has no address' >&2; exit 1; }`

const admitAll = (tables: string): string => `for t in ${tables}; do
$t -S INPUT 2>/dev/null | sed -n 's/^-A/-D/p' | while read -r rule; do $t $rule; done
done`

const dropQueue = 'tc qdisc del dev $dev root 2>/dev/null || true'

// A machine that was moved meanwhile has a route of its own.
const takeUp = `ip link set $dev up
if [ -s /run/tinymq-default-route ]; then
read -r route < /run/tinymq-default-route
ip route replace $route 2>/dev/null || true
rm /run/tinymq-default-route
fi`

// Of the two kinds of iptables a kernel may have either.
const tables = 'iptables-nft iptables-legacy'

const readState = `echo '${section}'; tc qdisc show dev $dev
echo '${section}'; tc -j -s qdisc show dev $dev
echo '${section}'; for t in ${tables}; do $t -S INPUT 2>/dev/null || true; done
echo '${section}'; cat /sys/class/net/$dev/flags
echo '${section}'; uname -r`

/** Reads and sets the conditions of one machine's network. */
export class Wire {
  readonly #container: Dockerode.Container
  readonly #machine: string

  constructor(container: Dockerode.Container, machine: string) {
    this.#container = container
    this.#machine = machine
  }

  /** What the kernel says now. */
  async state(): Promise<LinkState> {
    return this.#run('')
  }

  /**
   * Puts these conditions in the place of those before; `{}` makes the link clean.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT; TINYMQ_TEST_ENVIRONMENT when the kernel does not
   * do it.
   */
  async setLink(conditions: LinkConditions): Promise<LinkState> {
    const words = netemWords(conditions)
    const add = words.length === 0 ? '' : `tc qdisc add dev $dev root netem ${words.join(' ')}`
    const state = await this.#run(`${dropQueue}\n${add}`, words.join(' '))
    const wrong = difference(conditions, state.conditions)
    if (wrong !== '') {
      throw new TinymqError(
        'TINYMQ_TEST_ENVIRONMENT',
        `the link of ${this.#machine} is not as asked: ${wrong}`,
      )
    }
    return state
  }

  /** Lets nothing in from this address, silently, until `heal`. */
  async refuse(address: string): Promise<LinkState> {
    const add = `INPUT -s ${address} -j DROP`
    const state = await this.#run(`iptables-nft -A ${add} 2>/dev/null || iptables-legacy -A ${add}`)
    if (state.refused.includes(address)) return state
    throw new TinymqError(
      'TINYMQ_TEST_ENVIRONMENT',
      `${this.#machine} does not reject ${address} as it should`,
    )
  }

  /** Whoever was rejected at the address `before` is rejected at `after` instead. */
  async refuseInstead(before: string, after: string): Promise<LinkState> {
    return this.#run(`for t in ${tables}; do
if $t -D INPUT -s ${before} -j DROP 2>/dev/null; then $t -A INPUT -s ${after} -j DROP; fi
done`)
  }

  /** Takes the interface down. Its default route goes with it, so that is kept for later. */
  async down(): Promise<LinkState> {
    const keep = 'ip route show default > /run/tinymq-default-route'
    return this.#expectUp(await this.#run(`${keep}\nip link set $dev down`), false)
  }

  async up(): Promise<LinkState> {
    return this.#expectUp(await this.#run(takeUp), true)
  }

  /** The interface is up, its link is clean, and everybody is let in. */
  async heal(): Promise<LinkState> {
    const state = await this.#run([takeUp, admitAll(tables), dropQueue].join('\n'))
    const wrong = difference({}, state.conditions)
    if (state.isUp && wrong === '' && state.refused.length === 0) return state
    throw new TinymqError(
      'TINYMQ_TEST_ENVIRONMENT',
      `the network of ${this.#machine} is not healed: ${wrong}`,
    )
  }

  #expectUp(state: LinkState, isUp: boolean): LinkState {
    if (state.isUp === isUp) return state
    throw new TinymqError(
      'TINYMQ_TEST_ENVIRONMENT',
      `the interface of ${this.#machine} did not change`,
    )
  }

  async #run(change: string, netem = ''): Promise<LinkState> {
    const script = ['set -e', findDevice, change, readState].join('\n')
    const result = await runInContainer(this.#container, ['sh', '-c', script])
    const [, text = '', json = '', rules = '', flags = '', kernel = ''] = result.stdout.split(
      `${section}\n`,
    )
    if (result.exitCode !== 0) throw this.#failure(result.stderr.trim(), netem)
    return {
      ...parseReading(json),
      text: text.trim(),
      refused: refusedIn(rules),
      isUp: (Number(flags) & 1) === 1,
      kernel: kernel.trim(),
    }
  }

  #failure(reason: string, netem: string): TinymqError {
    const sentence =
      netem === ''
        ? `the network of ${this.#machine} cannot be changed: ${reason}`
        : `the kernel here rejects "netem ${netem}" (${reason}): it takes sch_netem. ` +
          'On Linux, modprobe sch_netem; npm run e2e starts a guest kernel that has it'
    return new TinymqError('TINYMQ_TEST_ENVIRONMENT', sentence)
  }
}

const refusedIn = (rules: string): string[] => [
  ...new Set(
    Array.from(rules.matchAll(/^-A INPUT -s (\S+?)(?:\/32)? -j DROP$/gm), ([, at]) => at ?? ''),
  ),
]
