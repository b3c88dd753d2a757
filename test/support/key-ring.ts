/**
 * Key rings of a test, made as operators make them: by `tinymq keys`. Must never show a key but in
 * its file.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ownEnvironment } from './daemon-process.ts'

const run = promisify(execFile)
const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')

/** A line of a ring. */
export function newKey(name: string): string {
  return `${name} = ${randomBytes(32).toString('base64')}`
}

/** A file with these lines, that nobody else can read. */
export function writeRing(path: string, ...lines: readonly string[]): string {
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 })
  return path
}

/** What `tinymq keys` prints. */
export async function keys(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [program, 'keys', ...args])
  return stdout
}

/** How a daemon ends that cannot start. */
export async function ends(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly stderr: string }> {
  try {
    const env = ownEnvironment()
    await run(process.execPath, [program, ...args], { timeout: 20_000, env })
    return { code: 0, stderr: '' }
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string }
    return { code, stderr }
  }
}
