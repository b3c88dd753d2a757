/**
 * Runs a program to its end, without a shell, and gives back what it printed. Must never decide
 * what a failure means, unless it is asked to take one for an error.
 */
import { spawn } from 'node:child_process'

export type CommandOptions = {
  readonly input?: string
  /** Added to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>
}

export type CommandResult = {
  /** 127 when there is no such program, 128 when a signal ended it. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export async function run(
  command: readonly string[],
  { input = '', environment = {} }: CommandOptions = {},
): Promise<CommandResult> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { env: { ...process.env, ...environment } })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // It may end before it has read all: its exit code shows.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const { promise, resolve } = Promise.withResolvers<number>()
  child.on('error', () => resolve(127))
  child.on('close', (code) => resolve(code ?? 128))
  const exitCode = await promise
  return { exitCode, stdout: text(stdout), stderr: text(stderr) }
}

/** What it printed. @throws Error with what it complained about, when it fails. */
export async function output(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command, options)
  if (exitCode === 0) return stdout.trimEnd()
  throw new Error(`${command.join(' ')}: exit code ${exitCode}\n${stderr}${stdout}`)
}

const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString()
