/**
 * `npm run bench -- --profile DIR`: where the time of a drain goes. Three drains, because each way
 * of looking disturbs the others: one for the processor's time of each thread, one with Node's
 * profiler, one under strace.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DaemonProcess } from '../../test/support/daemon-process.ts'
import { drain } from '../drain.ts'
import type { Launch, Role } from '../daemon-pair.ts'
import { showNumber } from '../table.ts'
import { readProfiles, selfTimes, type SelfTime, type SpanUs } from './cpu-profile.ts'
import { canCountSystemCalls, countSystemCalls, type SystemCalls } from './system-calls.ts'
import { type ThreadTimes, threadsOf, threadTimes, timesBetween } from './thread-times.ts'

type ProfileOptions = {
  readonly scratch: string
  /** Where the profiles are left, for the tools that show them. */
  readonly directory: string
  readonly rows: number
}

const roles: readonly Role[] = ['sender', 'receiver']

const sampleEveryUs = 250
const functionsShown = 20
const callsShown = 8
/** Under strace a drain takes many times as long. */
const rowsUnderStrace = 20_000

/** What the threads of interest are called, and what Node numbers them as. */
const threads = [
  { name: 'MainThread', number: 0, what: 'network' },
  { name: 'tinymq store', number: 1, what: 'store' },
]

/** @returns the report, in Markdown. */
export async function profileDrain(options: ProfileOptions): Promise<string> {
  const { rows } = options
  const plain = await timedDrain(options)
  const profiled = await sampledDrain(options)
  const parts = [
    `## Processor time, ${rows.toLocaleString('en-GB')} rows, ${showNumber(plain.rate)} rows/s`,
    threadTable(plain.times, rows),
    ...profiled,
  ]
  if (canCountSystemCalls()) parts.push(...(await countedDrain(options)))
  return parts.join('\n\n')
}

/** The daemons of one drain. */
class Daemons {
  readonly #nodeArgs: (role: Role) => readonly string[]
  readonly #daemons = new Map<Role, DaemonProcess>()

  constructor(nodeArgs: (role: Role) => readonly string[] = () => []) {
    this.#nodeArgs = nodeArgs
  }

  readonly launch: Launch = (port, database, role) => {
    const daemon = new DaemonProcess({ port, database, nodeArgs: this.#nodeArgs(role) })
    this.#daemons.set(role, daemon)
    return daemon
  }

  pidOf(role: Role): number {
    return this.#daemons.get(role)?.pid ?? 0
  }
}

function newDirectory(...names: readonly string[]): string {
  const directory = join(...names)
  mkdirSync(directory, { recursive: true })
  return directory
}

type Timed = { readonly rate: number; readonly times: ReadonlyMap<Role, ThreadTimes> }

async function timedDrain({ scratch, rows }: ProfileOptions): Promise<Timed> {
  const daemons = new Daemons()
  const look = (): Map<Role, ThreadTimes> =>
    new Map(roles.map((role) => [role, threadTimes(daemons.pidOf(role))]))
  let [before, after] = [new Map<Role, ThreadTimes>(), new Map<Role, ThreadTimes>()]
  const rate = await drain(newDirectory(scratch, 'timed'), rows, {
    launch: daemons.launch,
    onBegin: () => void (before = look()),
    onEnd: () => void (after = look()),
  })
  const none: ThreadTimes = new Map()
  const times = new Map(
    roles.map((role) => [role, timesBetween(before.get(role) ?? none, after.get(role) ?? none)]),
  )
  return { rate, times }
}

function threadTable(times: ReadonlyMap<Role, ThreadTimes>, rows: number): string {
  const lines = Array.from(times).flatMap(([role, of]) =>
    Array.from(of)
      .filter(([, { userUs, systemUs }]) => userUs + systemUs > 0)
      .map(([name, { userUs, systemUs }]) => {
        const what = threads.find((thread) => thread.name === name)?.what ?? name
        const perRow = [userUs, systemUs, userUs + systemUs].map((us) => (us / rows).toFixed(2))
        return `| ${role}, ${what} | ${perRow.join(' | ')} |`
      }),
  )
  return ['| µs a row | user | system | both |', '|---|---|---|---|', ...lines].join('\n')
}

async function sampledDrain({ scratch, directory, rows }: ProfileOptions): Promise<string[]> {
  const daemons = new Daemons((role) => [
    '--cpu-prof',
    `--cpu-prof-dir=${newDirectory(directory, role)}`,
    `--cpu-prof-interval=${sampleEveryUs}`,
  ])
  let span: SpanUs = { fromUs: 0, toUs: 0 }
  const rate = await drain(newDirectory(scratch, 'sampled'), rows, {
    launch: daemons.launch,
    onBegin: () => void (span = { fromUs: monotonicUs(), toUs: Infinity }),
    onEnd: () => void (span = { ...span, toUs: monotonicUs() }),
  })
  const sections = roles.flatMap((role) => {
    const profiles = readProfiles(join(directory, role))
    return threads.map(({ number, what }) => {
      const profile = profiles.get(number)
      const times = profile === undefined ? [] : selfTimes(profile, span)
      return `### ${role}, ${what}\n\n${selfTable(times, rows)}`
    })
  })
  return [
    `## Functions by the time that they take themselves, ${showNumber(rate)} rows/s`,
    ...sections,
  ]
}

/** The clock that V8's profiles are stamped with. */
function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

function selfTable(times: readonly SelfTime[], rows: number): string {
  const sum = times.reduce((total, { us }) => total + us, 0)
  const lines = times
    .slice(0, functionsShown)
    .map(
      ({ place, us }) =>
        `| ${place} | ${(us / rows).toFixed(3)} | ${((us / sum) * 100).toFixed(1)} % |`,
    )
  return ['| function | µs a row | of the time |', '|---|---|---|', ...lines].join('\n')
}

type Counted = { readonly what: string; readonly calls: SystemCalls }

async function countedDrain({ scratch }: ProfileOptions): Promise<string[]> {
  const directory = newDirectory(scratch, 'counted')
  const daemons = new Daemons()
  const counters: { readonly what: string; readonly end: () => Promise<SystemCalls> }[] = []
  const counted: Counted[] = []
  await drain(directory, rowsUnderStrace, {
    launch: daemons.launch,
    onStarted: async () => {
      for (const role of roles) {
        for (const { id, name } of threadsOf(daemons.pidOf(role))) {
          const what = threads.find((thread) => thread.name === name)?.what
          if (what === undefined) continue
          const end = await countSystemCalls(id, join(directory, `${role}-${what}`))
          counters.push({ what: `${role}, ${what}`, end })
        }
      }
    },
    onDone: async () => {
      for (const { what, end } of counters) counted.push({ what, calls: await end() })
    },
  })
  return [`## System calls, ${rowsUnderStrace.toLocaleString('en-GB')} rows`, callTable(counted)]
}

function callTable(counted: readonly Counted[]): string {
  const lines = counted.flatMap(({ what, calls }) =>
    Array.from(calls)
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, callsShown)
      .map(
        ([name, count]) =>
          `| ${what} | ${name} | ${count} | ${(count / rowsUnderStrace).toFixed(3)} |`,
      ),
  )
  return ['| thread | call | calls | a row |', '|---|---|---|---|', ...lines].join('\n')
}
