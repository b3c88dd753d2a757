/**
 * Chance, files and rows for the tests of the store, all from one seed. Must never be used outside
 * tests.
 */
import { hash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { LaneAddress } from '../../../daemon/protocol/store-messages.ts'
import type { StoreEnvironment } from '../../../daemon/store/connection.ts'
import { openStore } from '../../../daemon/store/store.ts'
import { Machine } from './machine.ts'

/** Chance that follows from a seed (mulberry32). */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  is(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)]
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }
}

export function environmentOf(chance: Chance): StoreEnvironment {
  return {
    randomBytes: (length) => chance.bytes(length),
    sha256: (...parts) => hash('sha256', Buffer.concat(parts), 'buffer'),
    nowUs: () => 0,
  }
}

/** A directory, and machines in it. */
export class World {
  readonly directory: string
  readonly chance: Chance
  readonly #template: string
  #machines = 0

  constructor(directory: string, chance: Chance) {
    this.directory = directory
    this.chance = chance
    this.#template = join(directory, 'template')
  }

  /** Goes away with the test. */
  static of(t: TestContext, seed = 1): World {
    const directory = mkdtempSync(join(tmpdir(), 'tinymq-store-'))
    t.after(() => rmSync(directory, { recursive: true, force: true }))
    return World.in(directory, seed)
  }

  /** To make the tables takes longer than most tests: it is done once. */
  static in(directory: string, seed: number): World {
    const world = new World(directory, new Chance(seed))
    openStore(world.#template, { isDurable: false }).close()
    return world
  }

  /** The same files, another seed. */
  again(seed: number): World {
    const directory = join(this.directory, String(seed))
    mkdirSync(directory)
    const world = new World(directory, new Chance(seed))
    copyFileSync(this.#template, world.#template)
    return world
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  machine(): Machine {
    this.#machines++
    const path = join(this.directory, `machine-${this.#machines}`)
    copyFileSync(this.#template, path)
    const db = new BetterSqlite3(path)
    db.pragma('synchronous = OFF')
    db.prepare("UPDATE mqmeta SET value = ? WHERE key = 'database_id'").run(this.chance.bytes(16))
    db.close()
    return new Machine({ path, environment: environmentOf(this.chance) })
  }

  /** A second machine that begins with a copy of a file. */
  copy(backup: string): Machine {
    this.#machines++
    const path = join(this.directory, `machine-${this.#machines}`)
    copyFileSync(backup, path)
    return new Machine({ path, environment: environmentOf(this.chance) })
  }
}

/** The lanes that a scan names. */
export function lanesOf(machine: Machine): LaneAddress[] {
  machine.run({ type: 'scan' })
  return machine.news.splice(0).flatMap((said) => (said.type === 'lanes' ? said.lanes : []))
}

/** Inserts one row as the stock shell would, and returns its id. */
export function insert(
  machine: Machine,
  host: string,
  data: string | Uint8Array,
  token = 'token',
): number {
  const { lastInsertRowid } = machine.user
    .prepare('INSERT INTO mqout (host, token, data) VALUES (?, ?, ?)')
    .run(host, token, data)
  return Number(lastInsertRowid)
}
