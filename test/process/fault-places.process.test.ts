/**
 * A receiver that cannot write: every place that informs somebody says so, under one code, with one
 * level and one remedy, at its own end as well as at the sender's.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { PageClient } from '../support/page-client.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { besideProcess, fillDiskWhole, smallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')
const withinMs = 60_000

type Fault = {
  readonly code: string
  readonly says: RegExp
  readonly remedy: RegExp
  /** Brings it about; the function that it returns ends it. */
  readonly cause: (receiver: Machine) => () => void
}

type Answer = { readonly status: number; readonly text: string }

async function run(command: string, ...args: readonly string[]): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(command, args, (error, stdout, stderr) => {
      resolve({ status: Number(error?.code ?? 0), text: stdout + stderr })
    })
  })
}

async function get(machine: Machine, path: string): Promise<Answer> {
  // The disk of a machine may be its own.
  const database = `/proc/${machine.daemon.pid}/root${machine.database}`
  return new PageClient(machine.port, { database }).ask(path)
}

/** Every place at the receiver's end that is not its log or a table. */
async function places(
  receiver: Machine,
  prefix: readonly string[],
): Promise<{ [place: string]: Answer }> {
  const [command, ...rest] = [...prefix, process.execPath, program]
  const { database } = receiver
  return {
    check: await run(command, ...rest, 'check', database),
    doctor: await run(command, ...rest, 'doctor', database, '--json'),
    readyz: await get(receiver, '/readyz'),
    page: await get(receiver, '/api/health'),
    metrics: await get(receiver, '/metrics'),
  }
}

async function play(
  scene: TestEnvironment,
  receiver: Machine,
  fault: Fault,
  prefix: readonly string[] = [],
): Promise<void> {
  const { code, says, remedy } = fault
  const sender = await scene.running('a')
  const { host, port } = receiver
  const insert = `INSERT INTO mqout (host, port, data) VALUES ('${host}', ${port}, 'x');`
  await sender.sql(insert)
  await sender.sentAll(withinMs)
  const end = fault.cause(receiver)
  // Large enough for what little room a page that is there already may have.
  await sender.sql(insert.replace("'x'", 'hex(zeroblob(300000))'))

  const line = await receiver.logs('store-waits', withinMs)
  deepEqual([line.level, line['code']], ['error', code])
  match(String(line['reason']), says)
  match(String(line['advice']), remedy)
  const reported = await places(receiver, prefix)
  for (const [place, { text }] of Object.entries(reported)) {
    ok(text.includes(code), `${place}: ${text}`)
    if (place !== 'metrics') match(text, says, place)
    if (place !== 'metrics') match(text, remedy, place)
  }
  equal(reported['check']?.status, 1)
  equal(reported['readyz']?.status, 503)
  match(reported['metrics']?.text ?? '', /^tinymq_ready 0$/m)
  const metric = `tinymq_store_fault{code="${code}",level="error"} 1`
  ok(reported['metrics']?.text.includes(metric))
  const finding = (reported['doctor']?.text ?? '').split('\n').find((text) => text.includes(code))
  equal((JSON.parse(finding ?? '{}') as { level?: string }).level, 'error')
  const { findings } = JSON.parse(reported['page']?.text ?? '{}') as {
    findings: { code: string; level: string }[]
  }
  equal(findings.find((one) => one.code === code)?.level, 'error')
  // At the sender's end it is the peer's store, with the same words.
  const select = 'SELECT reason FROM mqstatus;'
  match(await sender.shows(select, /TINYMQ_PEER_STORE/, withinMs), says)
  match(await sender.sql('SELECT advice FROM mqstuck;'), /disk and the log of the peer/)

  end()
  await sender.sentAll(withinMs)
  await receiver.logs('store-works', withinMs)
  equal(await receiver.sql(`SELECT count(*) FROM mqevent WHERE code = '${code}';`), '1')
  await until({ what: 'the receiver to be ready', withinMs }, async () => {
    return (await get(receiver, '/readyz')).status === 200
  })
  const after = await places(receiver, prefix)
  equal(after['check']?.status, 0, after['check']?.text)
  ok(after['metrics']?.text.includes('tinymq_store_fault{code="",level=""} 0'))
}

test('a write lock that another program holds is reported at every place', async (t) => {
  const scene = new TestEnvironment(t)
  const receiver = await scene.running('b')
  await play(scene, receiver, {
    code: 'TINYMQ_BUSY',
    says: /another program has held the write lock/,
    remedy: /find the program that keeps a write transaction open/,
    cause: ({ database }) => {
      const db = new BetterSqlite3(database)
      db.exec('BEGIN IMMEDIATE')
      return () => void db.close()
    },
  })
})

test('a full disk is reported at every place', { skip: needs('root') }, async (t) => {
  const scene = new TestEnvironment(t)
  const { directory, machine } = smallDisk(scene.directory, 'b', 16)
  const receiver = await scene.running('b', machine)
  const fault: Fault = {
    code: 'TINYMQ_DISK_FULL',
    says: /database or disk is full/,
    remedy: /free space on the disk of the database/,
    cause: ({ daemon }) => fillDiskWhole(daemon.pid, directory),
  }
  await play(scene, receiver, fault, besideProcess(receiver.daemon.pid))
})
