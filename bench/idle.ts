/**
 * What two daemons cost that have nothing to do, after they have spoken once: processor and memory,
 * of the one that takes more. The baseline of the memory is a Node that does nothing.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Room } from './benchmark.ts'
import { DaemonPair, fillOutbox, InboxWatch, memoryOf } from './daemon-pair.ts'
import { measured, type Measure } from './measure.ts'
import { threadTimes } from './profile/thread-times.ts'

/**
 * What was open closes meanwhile, and V8 gives back what the start has taken: some 170 ms of
 * processor, once, eight seconds after its last collection.
 */
const settleMs = 12_000

export async function measureIdle({ scratch, quick, repeats }: Room): Promise<Measure[]> {
  const windowMs = quick ? 4_000 : 8_000
  await using pair = await DaemonPair.start(scratch)
  fillOutbox(pair.sender.database, { rows: 1, port: pair.receiver.port })
  using inbox = new InboxWatch(pair.receiver.database)
  await inbox.reaches(1)
  await sleep(settleMs)
  const pids = [pair.sender, pair.receiver].map((member) => pair.pidOf(member))
  const percents: number[] = []
  const memory: number[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    const before = pids.map(busyUs)
    await sleep(windowMs)
    const spent = pids.map((pid, index) => busyUs(pid) - (before[index] ?? 0))
    percents.push((Math.max(...spent) / 1_000 / windowMs) * 100)
    memory.push(Math.max(...pids.map((pid) => memoryOf(pid).nowMb)))
  }
  return [
    measured({
      what: 'an idle daemon, of a core',
      unit: '%',
      figures: percents,
      goal: { type: 'at most', of: 'figure', value: 0.5 },
    }),
    measured(
      {
        what: 'an idle daemon, resident memory',
        unit: 'MB',
        figures: memory,
        goal: { type: 'at most', of: 'figure', value: 90 },
      },
      { what: 'a Node that does nothing', figures: [await emptyNodeMb()] },
    ),
  ]
}

/** Microseconds of the processor so far, of all threads. */
function busyUs(pid: number): number {
  const times = Array.from(threadTimes(pid).values())
  return times.reduce((sum, { userUs, systemUs }) => sum + userUs + systemUs, 0)
}

async function emptyNodeMb(): Promise<number> {
  const nothing = 'console.log(0); setInterval(() => {}, 1e9)'
  const child = spawn(process.execPath, ['-e', nothing], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(child.stdout, 'data')
    return memoryOf(child.pid ?? 0).nowMb
  } finally {
    child.kill()
  }
}
