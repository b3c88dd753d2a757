import { equal, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { realEnvironment } from '../../daemon/store/connection.ts'
import { openStore } from '../../daemon/store/store.ts'
import { Disk } from './disk.ts'
import { scratchParent } from './seed-runner.ts'

type Outcome = { readonly lost: number; readonly kept: number }

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(scratchParent(), 'tinymq-disk-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  openStore(join(directory, 'template'), { isDurable: false }).close()
  return directory
}

function diskOf(directory: string, seed: number, clientSync: 'normal' | 'full'): Disk {
  const environment = realEnvironment
  const template = join(directory, 'template')
  const random = new SeededRandom(seed)
  const own = join(directory, `${clientSync}-${seed}`)
  const checkpointPages = random.one([5, 30, 1_000])
  const options = { directory: own, template, random, environment, clientSync, checkpointPages }
  return new Disk({ ...options, keyPolicy: { type: 'keyless' } })
}

const insertSql = "INSERT INTO mqout (host, data) VALUES ('b', ?)"

function rowsOf(disk: Disk): number {
  return disk.read<{ n: number }>('SELECT count(*) AS n FROM mqout')[0]?.n ?? 0
}

/** Rows that applications put in one by one, and a power cut after them; thrice. */
function cutThrice(disk: Disk, random: SeededRandom): Outcome {
  let lost = 0
  for (let cuts = 0; cuts < 3; cuts++) {
    const rows = 1 + random.below(30)
    const before = rowsOf(disk)
    for (let row = 0; row < rows; row++) {
      disk.user.prepare(insertSql).run('x'.repeat(random.below(9_000)))
      disk.onClientWrote()
    }
    // What the file says is what the ledger says: SQLite has found no more and no less.
    const { durableOperations } = disk.syncs
    disk.cutPower()
    const after = rowsOf(disk)
    ok(after >= before + durableOperations, `${after} of ${before} + ${durableOperations} rows`)
    lost += before + rows - after
  }
  return { lost, kept: rowsOf(disk) }
}

for (const clientSync of ['normal', 'full'] as const) {
  test(`a power cut takes back what was not synced, with synchronous = ${clientSync}`, (t) => {
    const directory = directoryOf(t)
    let runsWithLoss = 0
    for (let seed = 1; seed <= 40; seed++) {
      const disk = diskOf(directory, seed, clientSync)
      if (cutThrice(disk, new SeededRandom(seed)).lost > 0) runsWithLoss++
      disk.close()
    }
    if (clientSync === 'full') equal(runsWithLoss, 0)
    else ok(runsWithLoss >= 20, `Only ${runsWithLoss} of 40 runs have lost anything.`)
  })
}

test('a commit of the store is durable when its sync is over, and not before', (t) => {
  const directory = directoryOf(t)
  let lost = 0
  for (let seed = 1; seed <= 30; seed++) {
    const disk = diskOf(directory, seed, 'normal')
    disk.openStore()
    for (const isSynced of [true, false]) {
      disk.store.run([{ type: 'event', code: 'TEST', detail: String(isSynced) }], 1)
      const sync = disk.onStoreRan()
      if (isSynced) disk.onSynced(sync)
    }
    disk.closeStore()
    disk.cutPower()
    const events = disk.read<{ detail: string }>('SELECT detail FROM mqevent ORDER BY id')
    equal(events[0]?.detail, 'true')
    if (events.length === 1) lost++
    disk.close()
  }
  ok(lost >= 10 && lost < 30, `${lost} of 30 commits were lost before their sync was over.`)
})

test('a statement fails in a turn of the store, and at no other time', (t) => {
  const disk = diskOf(directoryOf(t), 1, 'full')
  disk.openStore()
  const seen: string[] = []
  disk.turnFaults = (sql) => {
    seen.push(sql)
    return sql === 'COMMIT' ? { code: 'SQLITE_FULL', rollsBack: true } : undefined
  }
  disk.store.peers()
  disk.user.prepare(insertSql).run('x')
  equal(seen.length, 0)
  disk.runStore([{ type: 'event', code: 'TEST', detail: '' }], 1)
  ok(seen.includes('BEGIN IMMEDIATE') && seen.includes('COMMIT'))
  const events = (): number => disk.read("SELECT 1 FROM mqevent WHERE code = 'TEST'").length
  equal(events(), 0)
  disk.turnFaults = undefined
  disk.runStore([], 1)
  equal(events(), 1)
  disk.close()
})

test('a full disk takes no more pages, and takes them again when there is room', (t) => {
  const disk = diskOf(directoryOf(t), 1, 'full')
  disk.setFull(true)
  const insert = disk.user.prepare(insertSql)
  const fill = (): void => void insert.run('x'.repeat(100_000))
  try {
    fill()
    ok(false, 'The row found room.')
  } catch (error) {
    equal((error as { code?: string }).code, 'SQLITE_FULL')
  }
  disk.setFull(false)
  fill()
  equal(rowsOf(disk), 1)
  disk.close()
})
