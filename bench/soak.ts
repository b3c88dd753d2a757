/**
 * A week in virtual time: how often two cores wake up, and whether what they hold grows. Four
 * weeks: nothing to do; a message an hour; a peer that is dead; a name that nobody knows.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Machine, Scenario, second } from '../test/simulator/core/scenario.ts'
import type { Room } from './benchmark.ts'
import { type Goal, measured, type Measure } from './measure.ts'

const hoursADay = 24
const hourUs = 3_600 * second
const days = 7
const daysQuick = 3

type Week = {
  readonly name: string
  /** Before the first day. */
  readonly begin: (scenario: Scenario, a: Machine, b: Machine) => void
  readonly everyHour: (scenario: Scenario, a: Machine, b: Machine) => void
  /** Times an hour that a core may wake up: more would be a timer that storms. */
  readonly wakesMax: number
}

const weeks: readonly Week[] = [
  {
    name: 'with nothing to do',
    begin: (scenario, a, b) => scenario.send(a, b, 10),
    everyHour: () => {},
    wakesMax: 1,
  },
  {
    name: 'with a message an hour each way',
    begin: () => {},
    everyHour: (scenario, a, b) => {
      scenario.insert(a, b.name)
      scenario.insert(b, a.name)
    },
    wakesMax: 60,
  },
  {
    name: 'with a dead peer',
    begin: (scenario, a, b) => {
      b.host.crash()
      scenario.insert(a, b.name)
    },
    everyHour: () => {},
    // A try at least every 30 s, with a repeat of it.
    wakesMax: 600,
  },
  {
    name: 'with an unknown name',
    begin: (scenario, a) => scenario.insert(a, 'nowhere'),
    everyHour: () => {},
    wakesMax: 600,
  },
]

/** Kilobytes a day that may stay: the heap of a runtime is never quite still. */
const growthKbMax = 64

export async function measureSoak({ quick }: Room): Promise<Measure[]> {
  return weeks.flatMap((week) => soak(week, quick ? daysQuick : days))
}

function soak({ name, begin, everyHour, wakesMax }: Week, length: number): Measure[] {
  const scenario = new Scenario({ seed: 1 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  const wakes = (): number => a.host.ticks + b.host.ticks
  begin(scenario, a, b)
  const perHour: number[] = []
  const heldKb: number[] = []
  for (let day = 0; day < length; day++) {
    const before = wakes()
    for (let hour = 0; hour < hoursADay; hour++) {
      everyHour(scenario, a, b)
      scenario.run(hourUs)
      // What the hosts note down, and what has arrived, is not the core's.
      for (const { host, store } of [a, b]) host.events.length = store.inbox.rows.length = 0
    }
    perHour.push((wakes() - before) / hoursADay)
    heldKb.push(heapKb())
  }
  // The first day warms up: code is compiled, tables grow to their size.
  const growth = heldKb.slice(1).map((kb, day) => kb - (heldKb[day] ?? 0))
  const most = (value: number): Goal => ({ type: 'at most', of: 'figure', value })
  return [
    measured({
      what: `wake-ups of two cores, ${name}`,
      unit: '/h',
      figures: perHour.slice(1),
      goal: most(wakesMax),
    }),
    measured({
      what: `growth of the heap a day, ${name}`,
      unit: 'KB',
      figures: growth.slice(1),
      goal: most(growthKbMax),
      note: 'It includes what the checker of the simulated wire notes down of each session.',
    }),
  ]
}

/** What is still in use after a collection. */
function heapKb(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed / 1e3
}
