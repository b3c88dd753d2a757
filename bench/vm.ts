/**
 * Runs the same benchmark in the guest of the e2e, whose kernel has netem: for machines whose own
 * kernel lacks it. A system call takes ten times as long in there and there is one processor, so
 * only what is measured in round trips means anything.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const seconds = 1_800
const root = join(import.meta.dirname, '..')

/** @returns the status that the run in the guest ended with. */
export function runInGuest(words: readonly string[]): number {
  const guest = join(root, 'e2e', 'vm')
  const program = [process.execPath, join(import.meta.dirname, 'main.ts'), ...words]
  const { status, error } = spawnSync(guest, ['-t', String(seconds), '--', ...program], {
    cwd: root,
    stdio: 'inherit',
  })
  if (error !== undefined) throw error
  return status ?? 1
}
