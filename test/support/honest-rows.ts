/**
 * An honest peer next to an attack: rows that cross in rounds, and how many a second. Must never
 * count a row that the receiver does not have.
 */
import { checkInbox, insertNumbered } from './numbered.ts'
import type { Machine } from './machine.ts'

const roundRows = 500
const roundMs = 30_000

export class HonestRows {
  readonly #from: Machine
  readonly #to: Machine
  #sent = 0

  constructor(from: Machine, to: Machine) {
    this.#from = from
    this.#to = to
  }

  /** Rows a second while `isOver` is false, and for one round at least. */
  async rate(isOver: () => boolean): Promise<number> {
    const [startMs, before] = [performance.now(), this.#sent]
    do {
      const first = this.#sent + 1
      this.#sent += roundRows
      const rows = { sender: this.#from.name, to: this.#to, first, last: this.#sent }
      await this.#from.sql(insertNumbered(rows))
      await this.#from.sentAll(roundMs)
    } while (!isOver())
    return ((this.#sent - before) * 1_000) / (performance.now() - startMs)
  }

  async rateFor(ms: number): Promise<number> {
    const endMs = performance.now() + ms
    return this.rate(() => performance.now() >= endMs)
  }

  /** Every row is there once, in order. */
  check(): void {
    checkInbox(this.#to.database, { [this.#from.name]: this.#sent })
  }
}
