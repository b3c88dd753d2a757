/**
 * Machines with names and habits of an ordinary plant, for pictures of the status page: one is
 * well, one is far away over a bad line, one is dead. Must never show what daemons do not do.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { defaultDatabase } from '../../sdk/schema/database-files.ts'
import { freePort } from './free-port.ts'
import type { Machine } from './machine.ts'
import { giveTestToken } from './read-page-token.ts'
import type { TestEnvironment } from './test-environment.ts'

/** Addresses of the page by what is to be seen there. */
type ScreenshotFixture = { readonly views: { readonly [name: string]: string } }

/** Each machine has an address of its own, so that each can have the usual port. */
const addresses = {
  MachineA: '127.0.70.1',
  MachineB: '127.0.70.2',
  'edge-3': '127.0.70.3',
  'warehouse-7': '127.0.70.4',
}
const port = 9_000
const edgeDelayMs = 38
const edgeLossShare = 0.02
/** What an invoice is larger than, with all that the protocol allows next to the data. */
const smallBytes = 2_000
const invoiceItems = 2_000
/** What operators have; each daemon sees there what is its own. */
const database = defaultDatabase
const quietMs = 45_000
const busyMs = 180_000

/** Resolves when there are some minutes of traffic to be seen. */
export async function openShowroom(scene: TestEnvironment): Promise<ScreenshotFixture> {
  const hosts = join(scene.directory, 'hosts')
  const lines = Object.entries(addresses).map(([name, address]) => `${address} ${name}\n`)
  writeFileSync(hosts, `127.0.0.1 localhost\n${lines.join('')}`)
  // In a mount namespace of its own a process has a hosts file and a folder of its own.
  const script = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /var/lib && shift && exec "$@"'

  const machine = async (name: string, host: string, http?: number): Promise<Machine> => {
    const folder = folderOf(scene, name)
    mkdirSync(tinymqOf(scene, name), { recursive: true })
    giveTestToken(join(tinymqOf(scene, name), 'tinymqdb'))
    const own = await scene.machine(name, {
      host,
      port,
      database,
      prefix: ['unshare', '--mount', 'sh', '-c', script, hosts, folder],
      shellPrefix: (pid) => ['nsenter', '--target', String(pid), '--mount'],
    })
    const page = http === undefined ? [] : ['--http', `127.0.0.1:${http}`, '--http-actions', 'on']
    await own.start('--bind', host, '--advertise', name, ...page)
    return own
  }
  const http = await freePort()
  const a = await machine('MachineA', addresses.MachineA, http)
  const b = await machine('MachineB', addresses.MachineB)
  const edge = await machine('edge-3', '127.0.70.5')
  await scene.relayTo(
    edge,
    {
      seed: 7,
      lossShare: edgeLossShare,
      duplicateShare: 0,
      delayMs: edgeDelayMs,
      jitterMs: 2,
      datagramBytesMax: 1_500,
    },
    { host: addresses['edge-3'], port },
  )

  await b.sql(`UPDATE mqmeta SET value = ${smallBytes} WHERE key = 'message_bytes_max';`)
  const traffic = scene.use(new Plant(tinymqOf(scene, 'MachineA'), tinymqOf(scene, 'MachineB')))
  await sleep(quietMs)
  traffic.warehouseHasDied()
  await sleep(busyMs)
  const parked = await a.sql("SELECT id FROM mqout WHERE token = 'invoices';")
  const page = `http://127.0.0.1:${http}/`
  return {
    views: { overview: page, peers: `${page}#/peers`, message: `${page}#/outbox/${parked}` },
  }
}

const folderOf = (scene: TestEnvironment, name: string): string => join(scene.directory, name)
const tinymqOf = (scene: TestEnvironment, name: string): string =>
  join(folderOf(scene, name), 'tinymq')

/** What goes to and fro: more at times, less at others. */
class Plant implements AsyncDisposable {
  readonly #databases: readonly Database.Database[]
  readonly #timer: NodeJS.Timeout
  readonly #send: (host: string, token: string, data: string) => void
  #isWarehouseUsed = false

  /** From the one folder to the other, and back. */
  constructor(here: string, there: string) {
    const from = new Database(join(here, 'tinymqdb'))
    const back = new Database(join(there, 'tinymqdb'))
    this.#databases = [from, back]
    const statement = 'INSERT INTO mqout (host, token, headers, data) VALUES (?, ?, ?, ?)'
    const [sending, answering] = [from.prepare(statement), back.prepare(statement)]
    const headers = JSON.stringify({ 'content-type': 'application/json' })
    this.#send = (host, token, data) => void sending.run(host, token, headers, data)
    const tick = from.transaction(() => this.#tick())
    this.#timer = setInterval(() => {
      tick()
      for (let count = 0; count < 8; count++) answering.run('MachineA', 'receipts', headers, '{}')
      back.exec("DELETE FROM mqin WHERE token <> ''")
      from.exec('DELETE FROM mqin WHERE arrived_at < (SELECT max(arrived_at) FROM mqin) - 2000')
    }, 100)
    this.#send('MachineB', 'invoices', invoice())
  }

  warehouseHasDied(): void {
    this.#isWarehouseUsed = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    for (const database of this.#databases) database.close()
  }

  #tick(): void {
    const minutes = Date.now() / 60_000
    const order = (id: number): string => JSON.stringify({ order: id, sku: 'A-1', count: 2 })
    const count = Math.round(25 + 15 * Math.sin(minutes * 4) + 8 * Math.random())
    for (let index = 0; index < count; index++) this.#send('MachineB', 'orders', order(index))
    this.#send('edge-3', 'telemetry', order(0))
    if (this.#isWarehouseUsed) this.#send('warehouse-7', 'orders', order(count))
  }
}

function invoice(): string {
  const items = Array.from({ length: invoiceItems }, (_, index) => {
    return { sku: `A-${100 + index}`, count: 1 + (index % 4), price: 1_250 + 35 * index }
  })
  return JSON.stringify({ invoice: 20_418, customer: 'C-311', items }, null, 1)
}
