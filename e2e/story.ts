/**
 * Runs the stories of one file in their lab and reports what each found. Must never leave anything
 * of a story that failed to the next: the lab goes with it.
 */

import { after, before, test, type TestContext } from 'node:test'
import { appendFinding } from './report.ts'
import { type Delivered, type Machines, Stage } from './stage.ts'

// Four minutes were seen in a guest on a busy machine.
const startMsMax = 600_000

/** What a story returns: the messages that each receiver must have. */
export type Scenario = (stage: Stage, t: TestContext) => Promise<Delivered>

/**
 * Puts up a lab for the stories of a file. Returns what shows one of them. A story that fails takes
 * the lab with it, and the next one gets a new lab.
 */
export function stageFor(machines?: Machines): (name: string, tell: Scenario) => void {
  let stage: Stage | undefined
  const start = async (): Promise<Stage> => (stage ??= await Stage.start(machines))
  before(async () => void (await start()), { timeout: startMsMax })
  after(async () => stage?.lab.remove())
  return (name, tell) => {
    test(name, async (t) => {
      const own = await start()
      try {
        await batchSteps(own, name, tell, t)
        await own.heal()
      } catch (error) {
        stage = undefined
        await own.lab.remove()
        throw error
      }
    })
  }
}

async function batchSteps(
  stage: Stage,
  name: string,
  tell: Scenario,
  t: TestContext,
): Promise<void> {
  const before = stage.counts()
  const startMs = performance.now()
  const report = async (messages: number, failure?: unknown): Promise<void> => {
    const seconds = (performance.now() - startMs) / 1_000
    const [reported, { packets, lost }] = [await stage.linkReported(), await stage.settledCounts()]
    const finding = {
      story: name,
      ...reported,
      messages,
      seconds,
      packets: packets - before.packets,
      retransmissions: lost - before.lost,
      ...(failure instanceof Error ? { problem: failure.message } : {}),
    }
    t.diagnostic(JSON.stringify(finding))
    const { TINYMQ_E2E_REPORT: file } = process.env
    if (file !== undefined) appendFinding(file, finding)
  }
  try {
    const delivered = await tell(stage, t)
    await stage.verdict(delivered)
    await report(messagesIn(delivered))
  } catch (error) {
    await report(0, error)
    await tellLogs(stage, t)
    throw error
  }
}

const logLinesShown = 15

/** The ends of the daemons' logs, for whoever has to find out why. */
async function tellLogs(stage: Stage, t: TestContext): Promise<void> {
  for (const machine of stage.lab.machines) {
    const lines = (await machine.logs()).trimEnd().split('\n').slice(-logLinesShown)
    t.diagnostic(`${machine.name}:\n${lines.join('\n')}`)
  }
}

function messagesIn(delivered: Delivered): number {
  const lists = Object.values(delivered).flatMap((senders) => Object.values(senders))
  return lists.reduce<number>(
    (sum, list) => sum + (typeof list === 'number' ? list : list.length),
    0,
  )
}
