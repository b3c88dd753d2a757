/** P11: what an unauthenticated peer can cost a real daemon that works for others meanwhile. */
import { equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { nodeEnvironment } from '../../daemon/node-crypto.ts'
import { InitiatorHandshake } from '../../daemon/protocol/crypto/handshake.ts'
import { toConnectionId } from '../../daemon/protocol/codec/packet.ts'
import type { JunkOrder, JunkReport } from '../support/junk-thread.ts'
import { newKey, writeRing } from '../support/key-ring.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const mebibyte = 1_048_576
/** What the collector leaves lying about; 50 bytes for each datagram would be more. */
const growthMebibytesMax = 48
const linesMax = 10

async function flood(order: JunkOrder): Promise<JunkReport> {
  const worker = new Worker(new URL('../support/junk-thread.ts', import.meta.url), {
    workerData: order,
  })
  const [report] = (await once(worker, 'message')) as [JunkReport]
  return report
}

function residentMebibytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return (Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1_024) / mebibyte
}

/** Datagrams that found the buffer of the socket full, so that the daemon never saw them. */
function droppedAt(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = ['udp', 'udp6'].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'utf8').split('\n'),
  )
  const own = lines.filter((line) => line.trim().split(/\s+/)[1]?.endsWith(`:${hex}`) === true)
  return own.reduce((sum, line) => sum + Number(line.trim().split(/\s+/).at(-1)), 0)
}

test('P11: a million junk datagrams cost no memory and no log; rows cross', async (t) => {
  const scene = new TestEnvironment(t)
  const line = newKey('token')
  const ring = writeRing(join(scene.directory, 'ring'), line)
  const [a, b] = [await scene.machine('a'), await scene.machine('b')]
  await a.start('--keys', ring)
  await b.start('--keys', ring)
  const secret = Uint8Array.from(Buffer.from(line.split(' = ')[1] ?? '', 'base64'))
  const environment = nodeEnvironment()
  const scid = toConnectionId(environment.randomBytes(8))
  const overheard = new InitiatorHandshake(environment, scid, { name: 'token', secret }).hello1()
  const order = { port: b.port, overheard }
  // The first junk makes the machine compile what it needs for it.
  await flood({ ...order, datagrams: scaled(50_000) })
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 1_000 }))
  await a.sentAll(30_000)

  const before = residentMebibytes(b.daemon.pid)
  const [lines, dropped] = [b.daemon.records.length, droppedAt(b.port)]
  const startMs = performance.now()
  const flooding = flood({ ...order, datagrams: scaled(1_000_000) })
  let rows = 1_000
  const outsider = { isGone: false }
  const rowsBeside = (async () => {
    while (!outsider.isGone) {
      await a.sql(insertNumbered({ sender: 'a', to: b, first: rows + 1, last: rows + 200 }))
      rows += 200
      await a.sentAll(30_000)
    }
  })()
  const { sent, bytesSent, answers, bytesAnswered } = await flooding
  const seconds = (performance.now() - startMs) / 1_000
  outsider.isGone = true
  await rowsBeside
  const growth = residentMebibytes(b.daemon.pid) - before
  const seen = sent - (droppedAt(b.port) - dropped)
  const said = b.daemon.records.slice(lines)
  const mebibytes = (bytesSent / mebibyte).toFixed(0)
  t.diagnostic(
    `${sent} junk datagrams (${mebibytes} MiB) in ${seconds.toFixed(1)} s, of which the daemon ` +
      `read ${seen}; it grew by ${growth.toFixed(1)} MiB, said ${said.length} lines, and gave ` +
      `${answers} answers of ${bytesAnswered} bytes; ${rows - 1_000} rows crossed next to them`,
  )
  checkInbox(b.database, { a: rows })
  ok(rows > 1_000, 'Rows have crossed.')
  ok(seen > sent / 10, 'The daemon has read its share of them.')
  ok(growth < growthMebibytesMax, `It grew by ${growth} MiB.`)
  ok(said.length <= linesMax, said.map(({ message }) => message).join('\n'))
  // For 256 bytes that were overheard 66 of HELLO2, or 26 of RETRY; for all others nothing.
  ok(bytesAnswered < bytesSent / 10, `${bytesAnswered} bytes were answered.`)
  equal(await b.sql("SELECT count(*) FROM mqin WHERE token <> 'token';"), '0')
})
