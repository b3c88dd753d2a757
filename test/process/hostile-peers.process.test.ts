/**
 * A peer with a key makes every attack that there is at once: five honest peers next to it keep
 * their rate, and the daemon keeps its memory, its log and its tables within bounds.
 * `TINYMQ_HOSTILE_SECONDS=3600` is an hour of it.
 */
import { equal, ok } from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HostilePeers, type HostileReport } from '../support/hostile-thread.ts'
import { newKey, writeRing } from '../support/key-ring.ts'
import type { Machine } from '../support/machine.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const hostileMs = 1_000 * Number(process.env['TINYMQ_HOSTILE_SECONDS'] ?? '20')
/** Without an attack before each round of attacks: the baseline has the same machine next to it. */
const baselineMs = 5_000
const attackMsMax = 60_000
const honestPeers = 5
const smallHeap = ['--max-old-space-size=256']
/** Of the rate alone; what attacks takes a processor of this machine too. */
const shareMin = 0.5
const roundRows = 200
const roundMs = 60_000
const pauseMs = 100
/** Of the daemon at rest; the heap alone may be 256. */
const growthMebibytesMax = 256
const linesPerMinuteMax = 60

function residentMebibytes({ daemon }: Machine): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024
}

/** Rows in rounds, with a pause after each: a peer that has something to send, and not a flood. */
class HonestPeer {
  readonly #from: Machine
  readonly #to: Machine
  sent = 0
  longestMs = 0

  constructor(from: Machine, to: Machine) {
    this.#from = from
    this.#to = to
  }

  get name(): string {
    return this.#from.name
  }

  /** Rows a second. */
  async rateFor(ms: number): Promise<number> {
    const [startMs, before] = [performance.now(), this.sent]
    while (performance.now() < startMs + ms) {
      const first = this.sent + 1
      this.sent += roundRows
      const rows = { sender: this.#from.name, to: this.#to, first, last: this.sent }
      const roundStartMs = performance.now()
      await this.#from.sql(insertNumbered(rows))
      await this.#from.sentAll(roundMs)
      this.longestMs = Math.max(this.longestMs, performance.now() - roundStartMs)
      await sleep(pauseMs)
    }
    return ((this.sent - before) * 1_000) / (performance.now() - startMs)
  }
}

/** Of each peer, over the rounds. */
const meanOf = (rates: readonly (readonly number[])[]): number[] =>
  (rates[0] ?? []).map(
    (_, at) => rates.reduce((sum, round) => sum + (round[at] ?? 0), 0) / rates.length,
  )

type Counts = Record<string, { made: number; begun: number }>

function addReport(sum: Counts, report: HostileReport): void {
  for (const [name, { made, begun }] of Object.entries(report)) {
    const before = sum[name] ?? { made: 0, begun: 0 }
    sum[name] = { made: before.made + made, begun: before.begun + begun }
  }
}

test('P11: next to every attack at once five peers keep their rate', async (t) => {
  const scene = new TestEnvironment(t)
  const [good, evil] = [newKey('token'), newKey('evil')]
  const ring = writeRing(join(scene.directory, 'ring'), good, evil)
  const own = writeRing(join(scene.directory, 'good'), good)
  const machine = await scene.machine('machine', { nodeArgs: smallHeap })
  await machine.start('--keys', ring)
  const peers: HonestPeer[] = []
  const databaseIds: Uint8Array[] = []
  for (let at = 1; at <= honestPeers; at++) {
    const peer = await scene.machine(`peer${at}`)
    await peer.start('--keys', own)
    const databaseId = await peer.sql("SELECT hex(value) FROM mqmeta WHERE key = 'database_id';")
    databaseIds.push(Buffer.from(databaseId, 'hex'))
    peers.push(new HonestPeer(peer, machine))
  }
  const rates = async (ms: number): Promise<number[]> =>
    Promise.all(peers.map(async (peer) => peer.rateFor(ms)))
  await rates(1_000)
  const memory = residentMebibytes(machine)
  const { length: linesBefore } = machine.daemon.records
  const secret = Buffer.from(evil.split(' = ')[1] ?? '', 'base64')
  const order = { port: machine.port, key: { name: 'evil', secret }, databaseIds }
  let most = memory
  const watch = setInterval(() => (most = Math.max(most, residentMebibytes(machine))), 200)
  t.after(() => clearInterval(watch))
  const rounds = Math.max(1, Math.round(hostileMs / attackMsMax))
  const baseline: number[][] = []
  const attacked: number[][] = []
  const report: Counts = {}
  for (let round = 0; round < rounds; round++) {
    baseline.push(await rates(baselineMs))
    const attack = new HostilePeers(order)
    t.after(async () => attack.terminate())
    attacked.push(await rates(hostileMs / rounds))
    addReport(report, await attack.end())
  }
  const [alone, beside] = [meanOf(baseline), meanOf(attacked)]

  const lines = machine.daemon.records.length - linesBefore
  const sum = (numbers: readonly number[]): number => numbers.reduce((one, other) => one + other, 0)
  const share = sum(beside) / sum(alone)
  const [events, senders] = await Promise.all(
    ['mqevent', 'mqsender'].map(async (table) => machine.sql(`SELECT count(*) FROM ${table};`)),
  )
  const mebibytes = statSync(machine.database).size / 1_048_576
  for (const [name, { made, begun }] of Object.entries(report)) {
    t.diagnostic(`${made} times ${name}, ${begun} of them let in`)
    ok(made > 0, name)
  }
  t.diagnostic(
    `${sum(alone).toFixed(0)} rows/s alone, ${sum(beside).toFixed(0)} next to it ` +
      `(${peers.map(({ name }, at) => `${name} ${beside[at]?.toFixed(0)}`).join(', ')}); longest ` +
      `round ${Math.max(...peers.map(({ longestMs }) => longestMs)).toFixed(0)} ms`,
  )
  t.diagnostic(
    `memory ${memory.toFixed(0)} MiB, at most ${most.toFixed(0)}; ${lines} lines of the log, ` +
      `${events} events, ${senders} streams, a database of ${mebibytes.toFixed(0)} MiB`,
  )
  for (const [at, { name }] of peers.entries()) {
    ok((beside[at] ?? 0) >= shareMin * (alone[at] ?? 0), `${name}: ${beside[at]} of ${alone[at]}`)
  }
  ok(share >= shareMin, `${share} of the rate alone`)
  ok(most - memory < growthMebibytesMax, `It grew to ${most} MiB.`)
  ok(lines <= linesPerMinuteMax * (1 + hostileMs / 60_000), `${lines} lines of the log`)
  ok(Number(events) <= 1_000)
  equal(machine.daemon.hasEnded, false)
  await machine.sql("DELETE FROM mqin WHERE token = 'evil';")
  checkInbox(machine.database, Object.fromEntries(peers.map(({ name, sent }) => [name, sent])))
})
