/** What a benchmark is to the program that runs it. */
import type { Measure } from './measure.ts'

/** What a run gives to a benchmark. */
export type Room = {
  /** A directory of its own, empty; it is removed afterwards. */
  readonly scratch: string
  /** A short run: the same measures, from less. */
  readonly quick: boolean
  /** How often each figure is taken, after a warm-up that does not count. */
  readonly repeats: number
  /** What makes the narrow link; undefined: netem where the kernel has it, else the emulator. */
  readonly over: 'netem' | 'emulator' | undefined
  /** Of the narrow link. */
  readonly mbitPerSecond: number
  /** How many rows a drain moves. */
  readonly rows: number
}

export type Benchmark = {
  /** What `--only` calls it. */
  readonly name: string
  readonly about: string
  /** Part of `--quick` too. */
  readonly isQuick: boolean
  /** Why it cannot be run on this machine; undefined: it can. */
  readonly whyNot?: (room: Pick<Room, 'over'>) => string | undefined
  /** @throws when something does not arrive at all. */
  readonly run: (room: Room) => Promise<Measure[]>
}
