/**
 * `npm run bench -- --only latency --profile DIR`: where the time of one message goes on an idle
 * link, thread by thread. The notes are taken within the daemons and left in DIR.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { open } from '../../sdk/index.ts'
import { DaemonProcess } from '../../test/support/daemon-process.ts'
import { DaemonPair, InboxWatch, type Member, type Role } from '../daemon-pair.ts'
import { RawCommit } from '../baselines.ts'
import { median } from '../distribution.ts'
import { passOne, type Passage } from '../lone-message.ts'
import { parseMarks, stagesOf, type Mark, type Stage } from './message-stages.ts'

type MessageProfileOptions = {
  readonly scratch: string
  /** Where the notes are left. */
  readonly directory: string
  readonly messages: number
}

const warmUp = 20
const pauseMs = 30
/** The daemons write their notes down five times a second. */
const notesMs = 600

/** @returns the report, in Markdown. */
export async function profileMessage(options: MessageProfileOptions): Promise<string> {
  const { scratch, directory, messages } = options
  mkdirSync(directory, { recursive: true })
  const marksUrl = pathToFileURL(join(import.meta.dirname, 'message-marks.ts'))
  marksUrl.searchParams.set('to', directory)
  const nodeArgs = ['--import', marksUrl.href]
  await using pair = await DaemonPair.start(scratch, (port, database) => {
    return new DaemonProcess({ port, database, nodeArgs })
  })
  using commit = new RawCommit(scratch)
  await passagesOf(pair, warmUp, () => {})
  const bareMs: number[] = []
  const passages = await passagesOf(pair, messages, () => void bareMs.push(commit.take()))
  await sleep(notesMs)
  const marks = [
    ...marksOf(directory, pair, pair.sender, 'sender'),
    ...marksOf(directory, pair, pair.receiver, 'receiver'),
  ].toSorted((one, other) => one.atNs - other.atNs)
  const bare = median(bareMs).toFixed(2)
  return [
    `## One message on an idle link, ${messages} messages`,
    stageTable(stagesOf(marks, passages)),
    `A raw commit of one row in the same run, in the same pauses, p50: ${bare} ms.`,
  ].join('\n\n')
}

/** One message at a time; `between` is called in the pauses. */
async function passagesOf(
  { sender, receiver }: DaemonPair,
  messages: number,
  between: () => void,
): Promise<Passage[]> {
  using mq = open(sender.database)
  using inbox = new InboxWatch(receiver.database)
  const passages: Passage[] = []
  for (let message = 0; message < messages; message++) {
    passages.push(passOne(mq, inbox, receiver.port))
    await sleep(pauseMs * (0.25 + Math.random() / 2))
    between()
    await sleep(pauseMs * (0.25 + Math.random() / 2))
  }
  return passages
}

function marksOf(directory: string, pair: DaemonPair, member: Member, role: Role): Mark[] {
  return readdirSync(directory)
    .filter((file) => file.startsWith(`${pair.pidOf(member)}-`))
    .flatMap((file) => parseMarks(readFileSync(join(directory, file), 'utf8'), role))
}

function stageTable(stages: readonly Stage[]): string {
  const lines = stages.map(
    ({ what, medianMs, p90Ms }) => `| ${what} | ${medianMs.toFixed(2)} | ${p90Ms.toFixed(2)} |`,
  )
  return ['| ms | p50 | p90 |', '|---|---|---|', ...lines].join('\n')
}
