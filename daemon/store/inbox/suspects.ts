/**
 * Rows that made a trigger of the inbox's owner roll back the whole transaction (RAISE(ROLLBACK)),
 * or made its COMMIT fail (a foreign key that is checked there). Only a turn that has failed
 * teaches that, so this outlives failed turns, on purpose: the rows of the batch come one by one,
 * until it is known which it is, or all have passed. Must never hold more than that.
 */
import { equalBytes } from '../../protocol/codec/buffer.ts'
import { nameOf, type Sender } from './senders.ts'

type Suspect = {
  /** The transaction is gone, and with it its number. */
  readonly sender: Sender
  /** One of the sequences up to here; this very one if `isCertain`. */
  readonly last: number
  readonly isCertain: boolean
  readonly reason: string
}

export class Suspects {
  readonly #bySender = new Map<string, Suspect>()

  isAny(sender: Sender): boolean {
    return this.#of(sender) !== undefined
  }

  /** One of the `count` rows up to sequence `last` is to blame: the transaction is gone. */
  add(sender: Sender, last: number, count: number, reason: string): void {
    this.#bySender.set(nameOf(sender.key, sender.stream), {
      sender,
      last,
      isCertain: count === 1,
      reason,
    })
  }

  /** Why the next row must be rejected, if it is known to be the one. */
  reasonAgainstNext(sender: Sender): string | undefined {
    const suspect = this.#of(sender)
    const isNext = suspect?.isCertain === true && suspect.last === sender.watermark + 1
    return isNext ? suspect.reason : undefined
  }

  /** Everything up to `sequence` is settled, and on disk. */
  onPassed({ key, stream }: Sender, sequence: number): void {
    const name = nameOf(key, stream)
    const last = this.#bySender.get(name)?.last
    if (last !== undefined && last <= sequence) this.#bySender.delete(name)
  }

  #of(sender: Sender): Suspect | undefined {
    if (this.#bySender.size === 0) return undefined
    const suspect = this.#bySender.get(nameOf(sender.key, sender.stream))
    if (suspect === undefined) return undefined
    return equalBytes(suspect.sender.databaseId, sender.databaseId) ? suspect : undefined
  }
}
