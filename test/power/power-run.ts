/**
 * Two real daemons on disks that forget what was not synced: rows both ways, power cuts and
 * failures of the disk at random instants, and what came of the rows.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { Machine } from '../support/machine.ts'
import type { TestEnvironment } from '../support/test-environment.ts'
import { until } from '../support/until.ts'
import { blobEvery, headersNumberOf, labelOf, Ledger, textOf } from '../chaos/expected-state.ts'
import { insertSql } from '../chaos/workload.ts'
import { type Fault, PowerDisk } from './power-disk.ts'

export type Place = {
  readonly machine: Machine
  readonly disk: PowerDisk
  numbered: number
}

const batchMax = 60
const bytesMax = 2_000
const peaceMsMax = 120_000

export class PowerRun {
  readonly ledger = new Ledger()
  readonly a: Place
  readonly b: Place
  /** Inserts that failed because the disk did. */
  failedInserts = 0
  cuts = 0
  readonly #random: SeededRandom

  private constructor(a: Place, b: Place, random: SeededRandom) {
    this.a = a
    this.b = b
    this.#random = random
  }

  /** @param mayEndWith what a daemon may end with by itself: it is started again then. */
  static async begin(
    scene: TestEnvironment,
    random: SeededRandom,
    mayEndWith?: number,
  ): Promise<PowerRun> {
    const place = async (name: string): Promise<Place> => {
      const disk = new PowerDisk(scene.directory, name)
      const { database, prefix } = disk
      const options = { database, prefix, shellPrefix: () => prefix }
      const machine = await scene.running(name, {
        ...options,
        ...(mayEndWith === undefined ? {} : { mayEndWith }),
      })
      return { machine, disk, numbered: 0 }
    }
    return new PowerRun(await place('a'), await place('b'), random)
  }

  get places(): readonly Place[] {
    return [this.a, this.b]
  }

  other(place: Place): Place {
    return place === this.a ? this.b : this.a
  }

  /** Rows in one transaction; the shell syncs it, or leaves that to the daemon. */
  async send(from: Place, isSynced: boolean): Promise<void> {
    const to = this.other(from).machine
    const count = 1 + this.#random.below(batchMax)
    const bytes = this.#random.below(bytesMax)
    const { name: sender } = from.machine
    const [first, last] = [from.numbered + 1, from.numbered + count]
    const batch = { sender, to: to.name, first, last }
    from.numbered = last
    this.ledger.tries(batch)
    const labels = Array.from({ length: count }, (_, index) => {
      return { sender, number: first + index, bytes }
    })
    const pragma = `PRAGMA synchronous = ${isSynced ? 'FULL' : 'NORMAL'};`
    try {
      await from.machine.sql(`${pragma}\n${insertSql(to, labels)}`)
      // What was never synced may be gone, all of it, with the power.
      if (isSynced) this.ledger.committed(batch)
    } catch (error) {
      if (!isDiskFault(error)) throw error
      this.failedInserts++
    }
  }

  /** The power is off for a moment. */
  async cut(places: readonly Place[]): Promise<void> {
    const keptShare = this.#random.one([0, 0.1, 0.5, 0.9])
    for (const { machine } of places) machine.daemon.signal('SIGKILL')
    for (const { machine } of places) await machine.daemon.kill9()
    for (const { disk } of places) {
      disk.fail('none')
      disk.loseUnsynced(this.#random, keptShare)
    }
    this.cuts += places.length
    await Promise.all(places.map(async ({ machine }) => machine.start()))
  }

  /** The disk fails for a while. */
  async trouble(place: Place, fault: Fault, ms: number): Promise<void> {
    place.disk.fail(fault, this.#random.one([0.05, 0.5, 1]))
    await this.send(place, true)
    await sleep(ms)
    place.disk.fail('none')
    await place.machine.startAgainIfEnded()
  }

  /** All is delivered; what is wrong with it. */
  async verdict(): Promise<string[]> {
    const what = 'both outboxes to be empty'
    await until({ what, withinMs: peaceMsMax }, async () => {
      for (const { machine } of this.places) await machine.startAgainIfEnded()
      const left = this.places.map(async ({ machine }) =>
        machine.sql('SELECT count(*) FROM mqout;'),
      )
      return (await Promise.all(left)).every((count) => count === '0')
    })
    for (const { machine } of this.places) {
      const select = `SELECT CAST(data AS TEXT) AS text, typeof(data) AS type, headers
        FROM mqin ORDER BY id`
      for (const row of await machine.rows<Row>(select)) {
        this.ledger.onArrived(machine.name, row.text, isWhole(row))
      }
    }
    const problems = this.ledger.verdict()
    for (const { machine } of this.places) {
      const checked = await machine.sql('PRAGMA integrity_check;')
      if (checked !== 'ok') problems.push(`integrity_check of ${machine.name}: ${checked}`)
      // That a disk was full is what these tests do.
      const events = await machine.sql(
        "SELECT code, detail FROM mqevent WHERE code <> 'TINYMQ_DISK_FULL';",
      )
      if (events !== '') problems.push(`events of ${machine.name}: ${events}`)
    }
    return problems
  }
}

type Row = { readonly text: string; readonly type: string; readonly headers: string | null }

function isWhole({ text, type, headers }: Row): boolean {
  const label = labelOf(text)
  if (label === undefined || text !== textOf(label)) return false
  const sent = headersNumberOf(label)
  const isBlob = label.number % blobEvery === 0
  return (
    type === (isBlob ? 'blob' : 'text') &&
    headers === (sent === undefined ? null : JSON.stringify(sent))
  )
}

function isDiskFault(error: unknown): boolean {
  return /disk I\/O error|database or disk is full|database is locked/.test(
    (error as Error).message,
  )
}
