/** A consumer in a process of its own, and what its handlers have done. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ConsumerTask } from './consumer-program.ts'

/** From `beginNs` to `endNs` a handler had the message, by the clock that all processes share. */
export type Handling = {
  readonly id: number
  readonly beginNs: bigint
  readonly endNs: bigint
  readonly isWhole: boolean
}

const program = fileURLToPath(new URL('./consumer-program.ts', import.meta.url))

export class ConsumerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #task: ConsumerTask
  #killedNs: bigint | undefined

  constructor(task: ConsumerTask) {
    this.#task = task
    this.#child = spawn(process.execPath, [program, JSON.stringify(task)], { stdio: 'inherit' })
  }

  /** How it ended without being asked to, undefined when it has not. */
  get accident(): string | undefined {
    if (this.#killedNs !== undefined || this.#child.exitCode === null) return undefined
    return `A consumer ended by itself (${this.#child.exitCode}).`
  }

  async kill9(): Promise<void> {
    if (this.#killedNs !== undefined) return
    this.#killedNs = process.hrtime.bigint()
    if (this.#child.exitCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  /** All that it has handled; what it was handling when it was killed ends there. */
  handlings(): Handling[] {
    if (!existsSync(this.#task.log)) return []
    const begun = new Map<number, bigint>()
    const whole: Handling[] = []
    for (const line of readFileSync(this.#task.log, 'utf8').split('\n').slice(0, -1)) {
      const [kind, number, ns] = line.split(' ')
      const id = Number(number)
      const atNs = BigInt(ns ?? '')
      const beginNs = begun.get(id)
      if (kind === 'b') begun.set(id, atNs)
      else if (beginNs !== undefined && begun.delete(id)) {
        whole.push({ id, beginNs, endNs: atNs, isWhole: true })
      }
    }
    const endNs = this.#killedNs ?? process.hrtime.bigint()
    const cut = Array.from(begun, ([id, beginNs]) => ({ id, beginNs, endNs, isWhole: false }))
    return [...whole, ...cut]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { accident } = this
    await this.kill9()
    if (accident !== undefined) throw new Error(accident)
  }
}
