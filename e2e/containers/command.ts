/**
 * Programs that a story starts, Docker's above all: what they print and how they end. Must never
 * hold a story's own state.
 */
import { execFile } from 'node:child_process'

export type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string }

export type RunOptions = {
  readonly cwd?: string
  /** Next to what every program gets: PATH, HOME, and what Docker itself gets. */
  readonly environment?: Readonly<Record<string, string>>
}

const outputBytesMax = 16_777_216
/** No option of the shell that runs the stories may change what they start. */
const inherited = /^(?:PATH|HOME|TMPDIR|DOCKER_\w+|BUILDX_\w+)$/

/** However it ends. @throws Error when it cannot be started. */
export async function outcomeOf(
  words: readonly string[],
  { cwd, environment = {} }: RunOptions = {},
): Promise<Outcome> {
  const [program = '', ...args] = words
  const own = Object.entries(process.env).filter(([name]) => inherited.test(name))
  const env = { ...Object.fromEntries(own), ...environment }
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  execFile(program, args, { cwd, env, maxBuffer: outputBytesMax }, (error, stdout, stderr) => {
    const code = error === null ? 0 : error.code
    if (typeof code === 'number') resolve({ code, stdout, stderr })
    else reject(error ?? new Error(program))
  })
  return promise
}

/** What it printed to stdout. @throws Error with what it said when it does not end well. */
export async function output(words: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await outcomeOf(words, options)
  if (code === 0) return stdout.trimEnd()
  throw new Error(`${words.join(' ')} ended with ${code}:\n${`${stdout}\n${stderr}`.trim()}`)
}

export async function docker(...args: readonly string[]): Promise<string> {
  return output(['docker', ...args])
}

/**
 * What these stories build on: TINYMQ_E2E_BASE, else what the image of the other stories was built
 * on (e2e/images), else what the Dockerfile says.
 */
export async function baseImage(dockerfile: string): Promise<string> {
  const { TINYMQ_E2E_BASE: given, TINYMQ_E2E_IMAGE: built } = process.env
  if (given !== undefined && given !== '') return given
  const label = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
  const words = ['docker', 'image', 'inspect', '--format', label, built ?? 'tinymq:e2e']
  const { code, stdout } = await outcomeOf(words)
  if (code === 0 && stdout.trim() !== '') return stdout.trim()
  const stated = /^ARG BASE=(\S+)$/m.exec(dockerfile)?.[1]
  if (stated === undefined) throw new Error('The Dockerfile names no base: ARG BASE=… is missing.')
  return stated
}
