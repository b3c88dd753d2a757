import { deepStrictEqual, equal, notEqual, ok } from 'node:assert/strict'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { cleanLink, noFaults, planOf, type Plan } from './plan.ts'
import { Seeds } from './seed-runner.ts'

function seedsOf(t: TestContext): Seeds {
  const seeds = new Seeds()
  t.after(() => seeds[Symbol.dispose]())
  return seeds
}

const calm: Plan = {
  ...planOf(1),
  seed: 1,
  machines: 2,
  durationUs: 2_000_000,
  link: cleanLink,
  faults: noFaults,
  deathPerOutput: 0,
  deathPerCommit: 0,
}

const openFiles = '/proc/self/fd'

/** Of the databases of runs. */
function openDatabases(): string[] {
  const links = readdirSync(openFiles).map((name) => {
    try {
      return readlinkSync(join(openFiles, name))
    } catch {
      return 'what listed them'
    }
  })
  return links.filter((link) => /\/tinymq-sim-.*\/run-/.test(link))
}

test('a run leaves no file open', { skip: !existsSync(openFiles) }, (t) => {
  const seeds = seedsOf(t)
  // A daemon that runs at the end of its run had seven files open for ever.
  for (const seed of [1, 2, 3]) equal(seeds.run(seed).failure, undefined)
  deepStrictEqual(openDatabases(), [])
})

test('the same seed has the same trace, another seed another', (t) => {
  const seeds = seedsOf(t)
  const [first, again, other] = [seeds.run(7), seeds.run(7), seeds.run(8)]
  equal(first.failure, undefined)
  equal(first.hash, again.hash)
  deepStrictEqual(first.counts, again.counts)
  notEqual(first.hash, other.hash)
})

test('some seeds of all kinds are clean', (t) => {
  const seeds = seedsOf(t)
  for (let seed = 1; seed <= 6; seed++) {
    const { failure, lastLines } = seeds.run(seed)
    equal(failure, undefined, `seed ${seed}: ${failure?.message}\n${lastLines.join('\n')}`)
  }
})

test('what breaks a promise ends the run, by the name of its checker', (t) => {
  const seeds = seedsOf(t)
  const forged = (sql: string): string | undefined => {
    const script: Parameters<Seeds['runPlan']>[1] = {
      script: (world, _faults, work) => {
        work.schedule()
        world.time.runUntil(3_000_000)
        for (const { disk } of world.machines) disk.user.exec(sql)
      },
    }
    return seeds.runPlan(calm, script).failure?.checker
  }
  equal(forged('SELECT 1'), undefined)
  const columns = 'token, sent_at, sender, sender_row, headers, data'
  equal(forged(`INSERT INTO mqin (${columns}) SELECT ${columns} FROM mqin`), 'once')
  equal(forged('UPDATE mqsender SET watermark = 0; DELETE FROM mquidlog'), 'watermark')
  equal(forged(`UPDATE mqin SET data = 'x' WHERE id = 1`), undefined)
  ok(forged("INSERT INTO mqout (host, data, headers) VALUES ('a', 'x', '{}')") === 'content')
})
