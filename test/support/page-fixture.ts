/**
 * What the tests of the status page look at: three machines, of which one is dead, with traffic
 * that goes on, rows that were rejected, letters that nobody could process, and messages that mean
 * harm to whoever shows them. Must never be a stand-in for a daemon: all of it is real.
 */
import Database from 'better-sqlite3'
import { open } from '../../sdk/index.ts'
import { freePort } from './free-port.ts'
import type { Machine } from './machine.ts'
import { giveTestToken } from './read-page-token.ts'
import type { TestEnvironment } from './test-environment.ts'
import { until } from './until.ts'

export type PageFixture = {
  /** Sends; its page may act. */
  readonly a: Machine
  /** Receives; its page is read-only. */
  readonly b: Machine
  readonly pageOfA: string
  readonly pageOfB: string
  /** Where the dead machine would be. */
  readonly deadPort: number
  /** Starts a daemon of `a` again, with its page where it was. */
  readonly startA: () => Promise<void>
  readonly traffic: Traffic
}

/** mqout takes no longer ones. What else writes to mqin may. */
const tokenCharsMax = 250
/** What is larger than this is rejected by `b`. */
const largeBytes = 100_000
const waitMs = 20_000

/** What a hostile or careless sender may put into a token or a text. */
export const hostile = {
  markup: '<img src=x onerror=alert(1)><script>alert(2)</script>',
  turned: 'live\u202Egnp.exe\u2066',
  hebrew: 'שלום עולם',
  emoji: '👩‍👩‍👧 🎉',
  endless: 'W'.repeat(10_000),
  lines: 'one\ntwo\u0000three\u001b[31m',
}

export async function openOffice(scene: TestEnvironment): Promise<PageFixture> {
  const [httpA, httpB] = [await freePort(), await freePort()]
  const [a, b] = [await scene.machine('MachineA'), await scene.machine('MachineB')]
  const startA = async (): Promise<void> =>
    a.start('--http', `127.0.0.1:${httpA}`, '--http-actions', 'on', '--advertise', 'MachineA')
  giveTestToken(a.database)
  giveTestToken(b.database)
  await startA()
  await b.start('--http', `127.0.0.1:${httpB}`, '--advertise', 'MachineB')
  const deadPort = await freePort()
  await fill(a, b, deadPort)
  return {
    a,
    b,
    pageOfA: `http://127.0.0.1:${httpA}/`,
    pageOfB: `http://127.0.0.1:${httpB}/`,
    deadPort,
    startA,
    traffic: scene.use(new Traffic(a, b)),
  }
}

async function fill(a: Machine, b: Machine, deadPort: number): Promise<void> {
  await b.sql(`UPDATE mqmeta SET value = ${largeBytes} WHERE key = 'message_bytes_max';`)
  const back = `('${a.host}', ${a.port}, 'back')`
  await b.sql(`INSERT INTO mqout (host, port, data) VALUES ${back};`)
  const db = new Database(a.database)
  const insert = db.prepare(
    'INSERT INTO mqout (host, port, token, headers, data) VALUES (?, ?, ?, ?, ?)',
  )
  const send = (port: number, token: string, data: string | Buffer): void => {
    insert.run(a.host, port, token, '{"content-type":"text/plain"}', data)
  }
  db.transaction(() => {
    for (const text of Object.values(hostile)) send(deadPort, text.slice(0, tokenCharsMax), text)
    send(deadPort, 'binary', Buffer.from(Array.from({ length: 300 }, (_, byte) => byte & 255)))
    send(deadPort, 'large', 'L'.repeat(3 * largeBytes))
    for (let order = 1; order <= 120; order++) send(deadPort, 'orders', `order ${order}`)
    send(b.port, 'rejected', 'R'.repeat(2 * largeBytes))
    for (const text of Object.values(hostile)) send(b.port, text.slice(0, tokenCharsMax), text)
    send(b.port, 'poison', '{"sku":null}')
  })()
  db.close()
  const endless = `'${hostile.endless}', 1, '${hostile.endless}'`
  await b.sql(`INSERT INTO mqin (token, arrived_at, data) VALUES (${endless});`)
  await a.shows("SELECT count(*) FROM mqstatus WHERE state = 'parked';", /^1$/, waitMs)
  await bury(b)
}

/** A consumer that always fails leaves one dead letter. */
async function bury(b: Machine): Promise<void> {
  await b.shows("SELECT count(*) FROM mqin WHERE token = 'poison';", /^1$/, waitMs)
  await using mq = open(b.database)
  const controller = new AbortController()
  const failing = (): never => {
    throw new TypeError('sku is not a string')
  }
  const consuming = mq.consume(failing, {
    token: 'poison',
    attempts: 1,
    signal: controller.signal,
  })
  await until({ what: 'a dead letter', withinMs: waitMs }, async () => {
    return (await b.sql('SELECT count(*) FROM mqdead;')) === '1'
  })
  controller.abort()
  await consuming
}

/** A few hundred messages a second from `a` to `b`, as long as it is not stopped. */
export class Traffic implements AsyncDisposable {
  readonly #db: Database.Database
  readonly #timer: NodeJS.Timeout

  constructor(from: Machine, to: Machine) {
    this.#db = new Database(from.database)
    const insert = this.#db.prepare(
      "INSERT INTO mqout (host, port, token, data) VALUES (?, ?, 'traffic', 'tick')",
    )
    const tick = this.#db.transaction(() => {
      for (let count = 0; count < 30; count++) insert.run(to.host, to.port)
    })
    this.#timer = setInterval(tick, 100)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#db.close()
  }
}
