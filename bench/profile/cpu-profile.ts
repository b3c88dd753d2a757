/**
 * Reads the profiles that Node's `--cpu-prof` leaves, and shows which functions took the time
 * themselves, within a span of it. Must never count what was sampled outside that span: a daemon
 * starts, waits and ends too.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** A .cpuprofile, as far as it is used here; times are microseconds of the monotonic clock. */
export type CpuProfile = {
  readonly nodes: readonly ProfileNode[]
  readonly startTime: number
  readonly samples: readonly number[]
  /** The time of each sample after the one before it. */
  readonly timeDeltas: readonly number[]
}

type ProfileNode = {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly url: string
    readonly lineNumber: number
  }
}

const nameLengthMax = 50

export type SpanUs = { readonly fromUs: number; readonly toUs: number }

export type SelfTime = { readonly place: string; readonly us: number }

/** Functions by the time that they took themselves, the longest first. */
export function selfTimes(profile: CpuProfile, { fromUs, toUs }: SpanUs): SelfTime[] {
  const places = new Map(profile.nodes.map((node) => [node.id, placeOf(node)]))
  const times = new Map<string, number>()
  let atUs = profile.startTime
  for (const [index, id] of profile.samples.entries()) {
    // A sample stands for the time until the next one.
    atUs += profile.timeDeltas[index] ?? 0
    const place = places.get(id)
    if (place === undefined || atUs < fromUs || atUs >= toUs) continue
    const lastsUs = Math.min(profile.timeDeltas[index + 1] ?? 0, toUs - atUs)
    times.set(place, (times.get(place) ?? 0) + Math.max(0, lastsUs))
  }
  return Array.from(times, ([place, us]) => ({ place, us })).toSorted(
    (one, other) => other.us - one.us,
  )
}

function placeOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  // A regular expression is called by its whole text.
  const name = functionName === '' ? '(anonymous)' : functionName.slice(0, nameLengthMax)
  const file = url.startsWith('node:') ? url : basename(url)
  return file === '' ? name : `${name} ${file}:${lineNumber + 1}`
}

/** The profiles of a directory by the number of the thread, 0 for the first of the process. */
export function readProfiles(directory: string): ReadonlyMap<number, CpuProfile> {
  const profiles = new Map<number, CpuProfile>()
  for (const file of readdirSync(directory)) {
    const thread = /^CPU\.\d+\.\d+\.\d+\.(\d+)\.\d+\.cpuprofile$/.exec(file)?.[1]
    if (thread === undefined) continue
    const text = readFileSync(join(directory, file), 'utf8')
    profiles.set(Number(thread), JSON.parse(text) as CpuProfile)
  }
  return profiles
}
