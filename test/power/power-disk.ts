/**
 * A disk that forgets what was not synced, and fails on command, for the database of one machine:
 * `disk.c` in front of the C library of every process that opens it. Must never be used with a
 * process that does not have it: what that one syncs would be forgotten.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'

/** What goes wrong: the letters are those of `disk.c`. */
export const faults = {
  none: 'N',
  'full disk (ENOSPC)': 'E',
  'spent quota (EDQUOT)': 'Q',
  'spent quota of files (EDQUOT)': 'C',
  'failed writes (EIO)': 'I',
  'failed syncs (EIO)': 'F',
  'short writes': 'S',
  'syncs that lie': 'L',
} as const

export type Fault = keyof typeof faults

const sectorBytes = 512
const endings = ['', '-wal', '-journal']
const always = 255

export class PowerDisk {
  readonly #database: string
  readonly #medium: string
  readonly #control: string
  readonly #library: string

  /** @param directory the test's own; what is in it is the test's to remove. */
  constructor(directory: string, name: string) {
    this.#database = join(directory, `${name}.db`)
    this.#medium = join(directory, 'media', name)
    this.#control = join(directory, `${name}.control`)
    this.#library = join(directory, 'disk.so')
    mkdirSync(join(directory, 'media'), { recursive: true })
    if (!existsSync(this.#library)) {
      const source = join(import.meta.dirname, 'disk.c')
      execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', this.#library, source, '-ldl'])
    }
    this.fail('none')
  }

  get database(): string {
    return this.#database
  }

  /** The words to run a program by that uses the database. */
  get prefix(): string[] {
    return [
      'env',
      `LD_PRELOAD=${this.#library}`,
      `FORGETFUL_DISK_DATABASE=${this.#database}`,
      `FORGETFUL_DISK_MEDIUM=${this.#medium}`,
      `FORGETFUL_DISK_CONTROL=${this.#control}`,
    ]
  }

  /** From now on, for this share of the calls; all processes see it at once. */
  fail(fault: Fault, share = 1): void {
    const control = Buffer.of(faults[fault].charCodeAt(0), Math.ceil(share * always))
    // In place: the processes have the file mapped.
    writeFileSync(this.#control, control, { flag: existsSync(this.#control) ? 'r+' : 'w' })
  }

  /**
   * The power was off: of what was never synced some sectors are there, and the rest is as it was.
   * No process may have the database open.
   */
  loseUnsynced(random: SeededRandom, keptShare: number): void {
    rmSync(`${this.#database}-shm`, { force: true })
    for (const ending of endings) this.#restore(ending, random, keptShare)
  }

  #restore(ending: string, random: SeededRandom, keptShare: number): void {
    const [live, medium] = [this.#database + ending, this.#medium + ending]
    const [cached, synced] = [contentOf(live), contentOf(medium)]
    if (cached === undefined && synced === undefined) return
    if (synced === undefined && !random.chance(keptShare)) return rmSync(live, { force: true })
    const torn = tornOf(cached ?? Buffer.alloc(0), synced ?? Buffer.alloc(0), random, keptShare)
    writeFileSync(live, torn)
    writeFileSync(medium, torn)
  }
}

function contentOf(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined
}

function tornOf(cached: Buffer, synced: Buffer, random: SeededRandom, keptShare: number): Buffer {
  const length = random.chance(keptShare) ? cached.length : synced.length
  const torn = Buffer.alloc(length)
  synced.copy(torn)
  for (let at = 0; at < length; at += sectorBytes) {
    const sector = cached.subarray(at, Math.min(length, at + sectorBytes))
    if (random.chance(keptShare)) sector.copy(torn, at)
  }
  return torn
}
