/** On what a run took place: without it a figure says nothing. */
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

export type HostEnvironment = {
  readonly processor: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  /** Of the last minute, when the run began. */
  readonly load: number
}

export function surroundings(): HostEnvironment {
  return {
    processor: cpus()[0]?.model.trim() ?? 'an unknown processor',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    load: loadavg()[0] ?? Number.NaN,
  }
}

/** One line; the load shows whether the machine had something else to do. */
export function showSurroundings(of: HostEnvironment): string {
  const { processor, cores, memoryGb, kernel, node, load } = of
  const machine = `${cores} cores of ${processor}, ${memoryGb} GB, Linux ${kernel}, Node ${node}`
  return `${machine}; load average ${load.toFixed(2)} at the beginning.`
}
