/**
 * A machine under chaos test, and the programs that use its database. They take turns, so that rows
 * are inserted in the order of their numbers, and so that somebody may have the files for himself.
 */
import { rmSync } from 'node:fs'
import type { Destination, Machine } from '../support/machine.ts'
import type { Client } from './client.ts'

export class Member {
  readonly machine: Machine
  readonly client: Client
  /** Where the others send to: a bad network is in between. */
  readonly entrance: Destination
  /** Numbers of messages that were given out. */
  numbered = 0
  #turn: Promise<unknown> = Promise.resolve()

  constructor(machine: Machine, client: Client, entrance: Destination) {
    this.machine = machine
    this.client = client
    this.entrance = entrance
  }

  get name(): string {
    return this.machine.name
  }

  /** Runs `work` when nobody else uses the database but the daemon. */
  async turn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  /** What a reboot does to the files: shared memory is gone. The daemon must not be running. */
  async loseSharedMemory(): Promise<void> {
    await this.turn(async () => {
      rmSync(`${this.machine.database}-shm`, { force: true })
      return Promise.resolve()
    })
  }

  async checkpoint(): Promise<void> {
    await this.turn(async () => this.machine.sql('PRAGMA wal_checkpoint(TRUNCATE);'))
  }
}
