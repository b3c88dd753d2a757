/**
 * How far long work has come, on one line of stderr that is written over. Must never say anything
 * where no person looks.
 */
import type { Terminal } from './terminal.ts'

const pauseMs = 100
const barColumns = 24

export class Progress implements Disposable {
  readonly #terminal: Terminal
  readonly #label: string
  #shownAtMs = -Infinity
  #isShown = false

  constructor(terminal: Terminal, label: string) {
    this.#terminal = terminal
    this.#label = label
  }

  /** `total` undefined: nobody knows how much there is. */
  show(done: number, total: number | undefined, unit: string, nowMs = performance.now()): void {
    if (!this.#terminal.sayIsTerminal || nowMs - this.#shownAtMs < pauseMs) return
    this.#shownAtMs = nowMs
    this.#isShown = true
    const bar = total === undefined || total === 0 ? '' : `${barOf(done / total)} `
    const of = total === undefined ? '' : ` of ${total.toLocaleString('en-US')}`
    const count = `${done.toLocaleString('en-US')}${of} ${unit}`
    this.#terminal.say(`\r\u001b[K${this.#label} ${bar}${count}`)
  }

  /** The line is taken away again. */
  [Symbol.dispose](): void {
    if (this.#isShown) this.#terminal.say('\r\u001b[K')
  }
}

function barOf(part: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * barColumns)
  return `[${'#'.repeat(full)}${'-'.repeat(barColumns - full)}]`
}
