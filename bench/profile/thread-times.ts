/**
 * What the threads of a process have used of the processor, from Linux's /proc. Must never be used
 * for spans of less than a few hundredths of a second: the kernel counts in ticks of ten
 * milliseconds.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Microseconds in user and in kernel mode. */
type ThreadTime = { readonly userUs: number; readonly systemUs: number }

/** By name; threads of the same name are added up. */
export type ThreadTimes = ReadonlyMap<string, ThreadTime>

/** USER_HZ of Linux, whatever the kernel's own ticks are. */
const tickUs = 10_000

/** Fields of /proc/PID/stat after the name, which is in brackets and may hold anything. */
const [userField, systemField] = [11, 12]

/** A line of /proc/PID/task/TID/stat. */
export function parseStat(line: string): ThreadTime & { readonly name: string } {
  const [open, close] = [line.indexOf('('), line.lastIndexOf(')')]
  const fields = line.slice(close + 2).split(' ')
  return {
    name: line.slice(open + 1, close),
    userUs: Number(fields[userField]) * tickUs,
    systemUs: Number(fields[systemField]) * tickUs,
  }
}

/** The number of each thread of a process that runs, and its name. */
export function threadsOf(pid: number): { readonly id: number; readonly name: string }[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((id) => {
    const line = statOf(pid, id)
    return line === undefined ? [] : [{ id: Number(id), name: parseStat(line).name }]
  })
}

export function threadTimes(pid: number): ThreadTimes {
  const times = new Map<string, ThreadTime>()
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    const line = statOf(pid, id)
    if (line === undefined) continue
    const { name, userUs, systemUs } = parseStat(line)
    const before = times.get(name) ?? { userUs: 0, systemUs: 0 }
    times.set(name, {
      userUs: before.userUs + userUs,
      systemUs: before.systemUs + systemUs,
    })
  }
  return times
}

/** What was used between two looks. */
export function timesBetween(before: ThreadTimes, after: ThreadTimes): ThreadTimes {
  return new Map(
    Array.from(after, ([name, { userUs, systemUs }]) => {
      const from = before.get(name) ?? { userUs: 0, systemUs: 0 }
      return [name, { userUs: userUs - from.userUs, systemUs: systemUs - from.systemUs }]
    }),
  )
}

/** undefined: the thread has ended between the list and the look. */
function statOf(pid: number, id: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8')
  } catch {
    return undefined
  }
}
