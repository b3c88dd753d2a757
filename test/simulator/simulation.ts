/**
 * One run: trouble as the plan says, then peace, then the verdict. Must never forgive: whatever a
 * checker throws ends the run.
 */
import { Faults } from './faults.ts'
import { watchCores } from './invariant-probes.ts'
import type { Plan } from './plan.ts'
import type { SimMachine } from './sim-machine.ts'
import { SimWorld } from './sim-world.ts'
import { Trace, type TraceOptions } from './trace.ts'
import { checkIdentity } from './final-checks.ts'
import { expect, Violation } from './violation.ts'
import { Workload } from './workload.ts'

const second = 1_000_000
/** Once nothing goes wrong any more, everything that may be delivered is, within this time. */
const deliveredWithinUs = 150 * second
/** … and after that, within this time, nobody has anything left to do. */
const quietWithinUs = 200 * second
/** Virtual time goes in steps of this length while something is waited for. */
const stepUs = second / 4

export type RunOptions = TraceOptions & {
  readonly directory: string
  readonly template: string
  /** Instead of the trouble of the plan: a named scenario. */
  readonly script?: (world: SimWorld, faults: Faults, work: Workload) => void
}

export type RunResult = {
  readonly plan: Plan
  readonly failure: { readonly checker: string; readonly message: string } | undefined
  readonly hash: string
  readonly lastLines: readonly string[]
  readonly counts: ReadonlyMap<string, number>
  readonly simulatedUs: number
}

/** Never throws for what the system under test does. */
export function runPlan(plan: Plan, options: RunOptions): RunResult {
  const trace = new Trace(options)
  using stack = new DisposableStack()
  stack.use(watchCores())
  const world = new SimWorld(plan, trace, options.directory, options.template)
  stack.defer(() => world.close())
  let failure: RunResult['failure']
  try {
    play(world, options.script)
  } catch (error) {
    const isAssertion = error instanceof Error && error.name.startsWith('Assertion')
    const other = isAssertion ? 'assertion' : 'exception'
    const checker = error instanceof Violation ? error.checker : other
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    failure = { checker, message: error instanceof Violation ? error.message : text }
  }
  const { datagrams } = world.network.checker
  trace.count('datagrams', datagrams)
  trace.count('messages', world.ledger.size)
  return {
    plan,
    failure,
    hash: trace.digest(),
    lastLines: trace.lastLines,
    counts: trace.counts,
    simulatedUs: world.time.nowUs,
  }
}

function play(world: SimWorld, script: RunOptions['script']): void {
  const work = new Workload(world)
  const faults = new Faults(world, work)
  for (const machine of world.machines) machine.start()
  if (script === undefined) {
    work.schedule()
    faults.schedule()
    world.time.runUntil(world.plan.durationUs)
  } else script(world, faults, work)
  faults.makePeace()
  expectDelivery(world)
  run(world, world.plan.pauseUs)
  work.sendFarewells()
  expectDelivery(world)
  for (const machine of world.machines) machine.checkAll()
  checkIdentity(world)
  expectRest(world)
}

function run(world: SimWorld, us: number): void {
  world.time.runUntil(world.time.nowUs + us)
}

function expectDelivery(world: SimWorld): void {
  const endUs = world.time.nowUs + deliveredWithinUs
  while (world.machines.some(({ outbox }) => outbox.waiting.size > 0)) {
    expect(world.time.nowUs < endUs, 'delivered', () => `Rows are stuck: ${stuck(world)}`)
    run(world, stepUs)
  }
}

function stuck(world: SimWorld): string {
  return world.machines
    .flatMap(({ name, disk }) => {
      const rows = disk.read('SELECT id, host, state, reason, retry_in_s FROM mqstatus LIMIT 5')
      return rows.map((row) => `${name}: ${JSON.stringify(row)}`)
    })
    .join('\n')
}

/** Idle sessions are closed, and then nobody has a deadline, says anything, or works. */
function expectRest(world: SimWorld): void {
  const endUs = world.time.nowUs + quietWithinUs
  // Where all is delivered already, a start may still look up whom it wakes: it has no deadline.
  run(world, 10 * second)
  const restless = (): SimMachine[] =>
    world.machines.filter(({ host }) => host.node?.deadlineUs() !== undefined)
  while (restless().length > 0) {
    expect(world.time.nowUs < endUs, 'rest', () => {
      const names = restless().map(({ name }) => name)
      return `${names.join(', ')} still had something to do.`
    })
    run(world, 10 * second)
  }
  const { checker } = world.network
  const { datagrams } = checker
  run(world, 60 * second)
  expect(checker.datagrams === datagrams, 'rest', () => 'Somebody speaks although all is done.')
}
