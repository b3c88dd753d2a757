/**
 * A peer with a key makes every attack that there is at once: five honest peers beside it keep
 * their rate, and the daemon keeps its memory, its log and its tables within bounds.
 * `TINYMQ_HOSTILE_SECONDS=3600` is an hour of it.
 */
import { equal, ok } from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HostilePeers } from './harness/hostile-thread.ts'
import { newKey, writeRing } from './harness/key-ring.ts'
import type { Machine } from './harness/machine.ts'
import { checkInbox, insertNumbered } from './harness/numbered.ts'
import { Scene } from './harness/scene.ts'

const besideMs = 1_000 * Number(process.env['TINYMQ_HOSTILE_SECONDS'] ?? '20')
const aloneMs = 5_000
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

test('P11: beside every attack at once five peers keep their rate', async (t) => {
  const scene = new Scene(t)
  const [good, evil] = [newKey('token'), newKey('evil')]
  const ring = writeRing(join(scene.directory, 'ring'), good, evil)
  const own = writeRing(join(scene.directory, 'good'), good)
  const machine = await scene.machine('machine', { nodeArgs: smallHeap })
  await machine.start('--keys', ring)
  const peers: HonestPeer[] = []
  const origins: Uint8Array[] = []
  for (let at = 1; at <= honestPeers; at++) {
    const peer = await scene.machine(`peer${at}`)
    await peer.start('--keys', own)
    const origin = await peer.sql("SELECT hex(value) FROM mqmeta WHERE key = 'origin';")
    origins.push(Buffer.from(origin, 'hex'))
    peers.push(new HonestPeer(peer, machine))
  }
  const rates = async (ms: number): Promise<number[]> =>
    Promise.all(peers.map(async (peer) => peer.rateFor(ms)))
  await rates(1_000)
  const alone = await rates(aloneMs)
  const memory = residentMebibytes(machine)
  const { length: linesBefore } = machine.daemon.records

  const secret = Buffer.from(evil.split(' = ')[1] ?? '', 'base64')
  const attack = new HostilePeers({ port: machine.port, key: { name: 'evil', secret }, origins })
  t.after(async () => attack.terminate())
  let most = memory
  const watch = setInterval(() => (most = Math.max(most, residentMebibytes(machine))), 200)
  const beside = await rates(besideMs)
  clearInterval(watch)
  const report = await attack.end()

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
    `${sum(alone).toFixed(0)} rows/s alone, ${sum(beside).toFixed(0)} beside it ` +
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
  ok(lines <= linesPerMinuteMax * (1 + besideMs / 60_000), `${lines} lines of the log`)
  ok(Number(events) <= 1_000)
  equal(machine.daemon.hasEnded, false)
  await machine.sql("DELETE FROM mqin WHERE token = 'evil';")
  checkInbox(machine.database, Object.fromEntries(peers.map(({ name, sent }) => [name, sent])))
})
