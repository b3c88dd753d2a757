/**
 * From the notes of both daemons to how long each stage of a message takes. Must never guess: a
 * message of which a note is missing does not count.
 */
import type { Role } from '../daemon-pair.ts'
import type { Passage } from '../lone-message.ts'
import { median, quantile } from '../distribution.ts'
import type { Step } from './message-marks.ts'

/** Nanoseconds of the monotonic clock, which all processes of a machine share. */
export type Mark = { readonly atNs: number; readonly role: Role; readonly step: Step }

export type Stage = { readonly what: string; readonly medianMs: number; readonly p90Ms: number }

type Milestone = { readonly role: Role; readonly step: Step; readonly what: string }

/** `what` is what is done until then. */
const milestones: readonly Milestone[] = [
  { role: 'sender', step: 'begins', what: 'sender: notice the commit, find the row' },
  { role: 'sender', step: 'commits', what: 'sender: give it a sequence' },
  { role: 'sender', step: 'has committed', what: 'sender: commit' },
  { role: 'sender', step: 'has rows', what: 'sender: over to the network thread' },
  { role: 'sender', step: 'sends', what: 'sender: seal the datagram' },
  { role: 'receiver', step: 'has datagram', what: 'the way of the datagram' },
  { role: 'receiver', step: 'store runs', what: 'receiver: open it, over to the store thread' },
  { role: 'receiver', step: 'commits', what: 'receiver: insert the row' },
  { role: 'receiver', step: 'has committed', what: 'receiver: commit' },
]

/** Lines of `message-marks.ts`. */
export function parseMarks(text: string, role: Role): Mark[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const space = line.indexOf(' ')
      return { atNs: Number(line.slice(0, space)), role, step: line.slice(space + 1) as Step }
    })
}

/** @param marks of both, in the order of time. */
export function stagesOf(marks: readonly Mark[], passages: readonly Passage[]): Stage[] {
  const tookMs = passages.flatMap((passage) => {
    const took = timesOf(marks, passage)
    return took === undefined ? [] : [took]
  })
  if (tookMs.length === 0) throw new Error('Of no message all steps were noted.')
  const whats = [...milestones.map(({ what }) => what), 'a reader sees it', 'all of it']
  return whats.map((what, index) => {
    const times = tookMs.map((took) => took[index] ?? Number.NaN)
    return { what, medianMs: median(times), p90Ms: quantile(times, 0.9) }
  })
}

function timesOf(marks: readonly Mark[], { committedNs, seenNs }: Passage): number[] | undefined {
  const took: number[] = []
  let atNs = committedNs
  let index = marks.findIndex((mark) => mark.atNs >= committedNs)
  if (index === -1) return undefined
  for (const { role, step } of milestones) {
    while (marks[index] !== undefined && !isAt(marks[index], role, step)) index++
    const mark = marks[index]
    if (mark === undefined) return undefined
    took.push((mark.atNs - atNs) / 1e6)
    atNs = mark.atNs
  }
  // A reader may see the row before the call of the commit returns; by much it is another's row.
  if (atNs > seenNs + 5e6) return undefined
  return [...took, Math.max(0, (seenNs - atNs) / 1e6), (seenNs - committedNs) / 1e6]
}

function isAt(mark: Mark | undefined, role: Role, step: Step): boolean {
  return mark?.role === role && mark.step === step
}
