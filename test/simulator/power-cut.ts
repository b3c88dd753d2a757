/**
 * What is left of a database after a power cut: the log as far as it was synced, and behind that
 * whatever a disk may have made of writes that nobody waited for: nothing, all, a piece, or sectors
 * that are new, empty or garbage. Must never spare what was not synced in every run, nor touch what
 * was.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { SyncLedger } from './sync-ledger.ts'

export type Tail = 'lost' | 'kept' | 'cut' | 'torn'

export type Files = {
  /** The database as it is, and as it was when it was last synced. */
  readonly current: string
  readonly durable: string
  readonly target: string
}

const logHeaderBytes = 32
const frameHeaderBytes = 24
const sectorBytes = 512

const tails: readonly Tail[] = ['lost', 'kept', 'cut', 'torn']

/** Writes `target` and its log. @returns what became of the part that was not synced. */
export function cutPower(files: Files, ledger: SyncLedger, random: SeededRandom): Tail {
  const { durable, written } = ledger
  const frameBytes = frameHeaderBytes + written.pageBytes
  const bytesOf = (frames: number): number =>
    frames === 0 ? logHeaderBytes : logHeaderBytes + frames * frameBytes
  const log = readFileSync(`${files.current}-wal`)
  // A log of another salt was copied into the database, and that synced, before this one began.
  const isSame = durable.salt === written.salt
  const from = isSame ? Math.min(log.length, bytesOf(durable.frames)) : 0
  const to = Math.max(from, Math.min(log.length, bytesOf(written.frames)))
  const tail = random.one(tails)
  writeFileSync(`${files.target}-wal`, torn(log, from, to, tail, random))
  const isLogWhole = tail === 'kept' || from === to
  writeFileSync(files.target, fileAfter(files, ledger, isLogWhole, written.pageBytes, random))
  return tail
}

function torn(log: Buffer, from: number, to: number, tail: Tail, random: SeededRandom): Buffer {
  if (tail === 'lost') return log.subarray(0, from)
  if (tail === 'kept') return log.subarray(0, to)
  if (tail === 'cut') return log.subarray(0, from + random.below(to - from + 1))
  const bytes = Buffer.from(log.subarray(0, to))
  for (let start = from; start < to; start += sectorBytes - (start % sectorBytes)) {
    const end = Math.min(to, start - (start % sectorBytes) + sectorBytes)
    const fate = random.below(4)
    if (fate === 0) bytes.fill(0, start, end)
    if (fate === 1) bytes.fill(random.below(256), start, end)
  }
  return bytes
}

/**
 * Pages that a checkpoint has copied are in the synced log too, so each of them may be old or new;
 * but it copies none before the log is synced.
 */
function fileAfter(
  { current, durable }: Files,
  ledger: SyncLedger,
  isLogWhole: boolean,
  pageBytes: number,
  random: SeededRandom,
): Buffer {
  const before = readFileSync(durable)
  if (ledger.isFileCurrent || !isLogWhole) return before
  const after = readFileSync(current)
  const mixed = Buffer.alloc(Math.max(before.length, after.length))
  for (let start = 0; start < mixed.length; start += pageBytes) {
    const isNew = start >= before.length || (start < after.length && random.chance(0.5))
    const source = isNew ? after : before
    source.copy(mixed, start, start, start + pageBytes)
  }
  return mixed
}
