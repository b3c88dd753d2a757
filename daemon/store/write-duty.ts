/**
 * How long the database must be left to other writers. A foreign program that finds it locked looks
 * again after sleeps that grow to 100 ms, some fifty times within its `.timeout 5000`, and each
 * look hits or misses by chance. So what counts is the part of the time that the lock is held, not
 * how long one transaction is. Must never wait itself: the caller does.
 */

/**
 * Nobody else is about. Fifty looks all miss once in two million times (0.75 ^ 50); more would be
 * seen by somebody, less would slow the drain down for nobody.
 */
const shareAlone = 0.75
/** Others write: fifty looks never miss in practice, and few do at all. */
const shareInCompany = 0.5
/** A writer that writes now and then is company all the time. */
const companyMs = 2_000
/**
 * A pause of this length no waiting writer misses, so a longer one helps nobody: not when a disk
 * has taken seconds, nor when the process was stopped in the middle of a transaction.
 */
const pauseUsMax = 200_000

export class WriteDuty {
  #companyUntilMs = -Infinity
  #pauseUs = 0

  /** How long to leave the lock alone after the last transaction, in microseconds. */
  get pauseUs(): number {
    return this.#pauseUs
  }

  /** Another connection has committed something. */
  onForeignCommit(nowMs: number): void {
    this.#companyUntilMs = nowMs + companyMs
  }

  /** A transaction of ours is over. */
  onCommit(heldUs: number, nowMs: number): void {
    const share = nowMs < this.#companyUntilMs ? shareInCompany : shareAlone
    this.#pauseUs = Math.min(Math.ceil(heldUs * (1 / share - 1)), pauseUsMax)
  }

  /** Nothing was written. */
  onIdle(): void {
    this.#pauseUs = 0
  }

  /** The database cannot be written to at this moment: try again after `pauseUs`. */
  onTrouble(pauseUs: number): void {
    this.#pauseUs = pauseUs
  }
}
