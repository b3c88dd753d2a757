/**
 * The link of `emulator.c`: it is compiled when it is needed, and everything that it makes goes
 * away with its process. Must never be started twice with one address: each has namespaces of its
 * own, so it is not.
 */
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { type End, ips, type Link, type LinkConditions, type LinkCounters, runAt } from './link.ts'

/** Compiles the emulator into `directory`. @returns its path. */
export function compileEmulator(directory: string): string {
  const program = join(directory, 'emulator')
  if (existsSync(program)) return program
  const source = join(import.meta.dirname, 'emulator.c')
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source])
  return program
}

/** Its conditions as it takes them. */
export function emulatorWords(conditions: LinkConditions, seed: number): string[] {
  const { bytesPerSecond, bufferBytes, delayUs, jitterUs = 0, loss } = conditions
  const words = [bytesPerSecond, bufferBytes, delayUs, jitterUs, Math.round(loss * 1e6), seed]
  return words.map(String)
}

/** Why there can be no link of this kind here; undefined: there can be one. */
export function whyNoEmulator(): string | undefined {
  if (process.platform !== 'linux') return 'it takes Linux'
  if (process.getuid?.() !== 0) return 'network namespaces take root'
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun (modprobe tun)'
  const missing = ['cc', 'nsenter', 'ip', 'ss'].filter((program) => !isThere(program))
  return missing.length === 0 ? undefined : `these are missing: ${missing.join(', ')}`
}

function isThere(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(':')
  return [...folders, '/usr/sbin'].some((folder) => existsSync(join(folder, program)))
}

type Emulator = ChildProcessByStdio<Writable, Readable, null>

export class EmulatedLink implements Link {
  readonly kind = 'emulator'
  readonly ends: readonly [End, End]
  readonly #process: Emulator
  readonly #lines: Interface

  private constructor(process: Emulator, lines: Interface, ends: readonly [End, End]) {
    this.#process = process
    this.#lines = lines
    this.ends = ends
  }

  /** @param directory where the emulator is compiled to, if it is not there already. */
  static async open(
    directory: string,
    conditions: LinkConditions,
    seed = 1,
  ): Promise<EmulatedLink> {
    const words = ['link', ...emulatorWords(conditions, seed)]
    const emulator = spawn(compileEmulator(directory), words, {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(emulator.stdout)
    const ended = once(emulator, 'exit').then(() => {
      throw new Error('The emulator of the link has ended; above is why.')
    })
    const [ready] = (await Promise.race([once(lines, 'line'), ended])) as [string]
    ended.catch(() => {})
    const [, pid = '', ...handles] = ready.split(' ')
    const end = (side: 0 | 1): End => ({
      ip: ips[side],
      prefix: ['nsenter', `--net=/proc/${pid}/fd/${handles[side]}`, '--'],
    })
    const ends = [end(0), end(1)] as const
    for (const { ip, prefix } of ends) configure(prefix, ip)
    return new EmulatedLink(emulator, lines, ends)
  }

  async counters(): Promise<LinkCounters> {
    const [taken = 0, dropped = 0] = await this.#counters()
    return { taken, dropped }
  }

  /** A machine that is busy with something else hands packets over late. */
  async reported(): Promise<string> {
    const [, , , , , meanUs = 0, mostUs = 0] = await this.#counters()
    const [mean, most] = [meanUs, mostUs].map((us) => (us / 1_000).toFixed(1))
    return `The emulator handed packets over ${mean} ms late on the mean, ${most} ms at most.`
  }

  async #counters(): Promise<number[]> {
    const answered = once(this.#lines, 'line') as Promise<[string]>
    this.#process.stdin.write('counters\n')
    const [line] = await answered
    return line.trim().split(' ').map(Number)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.stdin.end()
    await ended
  }
}

function configure(prefix: readonly string[], ip: string): void {
  runAt(prefix, 'ip', 'link', 'set', 'lo', 'up')
  runAt(prefix, 'ip', 'address', 'add', `${ip}/24`, 'dev', 'narrow')
  runAt(prefix, 'ip', 'link', 'set', 'dev', 'narrow', 'mtu', '1500', 'up')
  const route = [`${ip.replace(/\d+$/, '0')}/24`, 'dev', 'narrow', 'congctl', 'cubic']
  runAt(prefix, 'ip', 'route', 'replace', ...route)
}
