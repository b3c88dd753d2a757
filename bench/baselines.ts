/**
 * What the machine can do by itself, without tinymq: a synced write, a synced commit of SQLite, a
 * datagram on loopback. Everything else is held against these.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { createSocket, type Socket } from 'node:dgram'
import { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import type { Room } from './benchmark.ts'
import { measured, type Measure } from './measure.ts'
import { quantile } from './distribution.ts'
import type { EchoTask } from './udp-thread.ts'

/** As much as a daemon asks for. */
const udpBufferBytes = 4_194_304

/** Appends a page to a file and syncs it, as often as it is asked. */
class RawSync implements Disposable {
  readonly #file: number
  readonly #page = Buffer.alloc(4_096, 1)

  constructor(directory: string) {
    this.#file = openSync(join(directory, 'raw-sync'), 'a')
  }

  /** Milliseconds. */
  take(): number {
    const startMs = performance.now()
    writeSync(this.#file, this.#page)
    fdatasyncSync(this.#file)
    return performance.now() - startMs
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}

/** Commits one row of 100 bytes, synced, as often as it is asked. */
export class RawCommit implements Disposable {
  readonly #db: Database.Database
  readonly #insert: Database.Statement

  constructor(directory: string) {
    this.#db = new Database(join(directory, 'raw-commit.db'))
    this.#db.pragma('journal_mode = WAL')
    this.#db.pragma('synchronous = FULL')
    this.#db.exec('CREATE TABLE t (data TEXT)')
    this.#insert = this.#db.prepare('INSERT INTO t (data) VALUES (?)')
  }

  /** Milliseconds. */
  take(): number {
    const startMs = performance.now()
    this.#insert.run('x'.repeat(100))
    return performance.now() - startMs
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

/** Datagrams to another thread of this process over loopback. */
export class RawUdp implements AsyncDisposable {
  readonly #socket: Socket
  readonly #worker: Worker
  readonly #port: number

  private constructor(socket: Socket, worker: Worker, port: number) {
    this.#socket = socket
    this.#worker = worker
    this.#port = port
  }

  static async open(): Promise<RawUdp> {
    const worker = new Worker(new URL('./udp-thread.ts', import.meta.url))
    const [port] = (await once(worker, 'message')) as [number]
    const socket = createSocket({ type: 'udp4', recvBufferSize: udpBufferBytes })
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new RawUdp(socket, worker, port)
  }

  /** Milliseconds there and back, of one datagram of 150 bytes. */
  async roundTrip(): Promise<number> {
    const startMs = performance.now()
    const answered = once(this.#socket, 'message')
    this.#socket.send(Buffer.alloc(150), this.#port, '127.0.0.1')
    await answered
    return performance.now() - startMs
  }

  /**
   * Sends datagrams of this size one after the other from another thread, none of them acked.
   * @returns megabytes (10^6) a second that arrive here.
   */
  async blast(bytes: number, seconds: number): Promise<number> {
    let [received, startMs, lastMs] = [0, 0, 0]
    const onMessage = (message: Buffer): void => {
      lastMs = performance.now()
      if (startMs === 0) startMs = lastMs
      received += message.length
    }
    this.#socket.on('message', onMessage)
    const task: EchoTask = { port: this.#socket.address().port, bytes, seconds }
    this.#worker.postMessage(task, [])
    await once(this.#worker, 'message')
    this.#socket.off('message', onMessage)
    return received / 1e6 / ((lastMs - startMs) / 1_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close()
    await this.#worker.terminate()
  }
}

const datagramBytes = 16_384

export async function measureBaselines({ scratch, quick }: Room): Promise<Measure[]> {
  const count = quick ? 100 : 500
  using sync = new RawSync(scratch)
  using commit = new RawCommit(scratch)
  await using udp = await RawUdp.open()
  const samples = { sync: [] as number[], commit: [] as number[], trip: [] as number[] }
  for (let index = 0; index < count; index++) {
    samples.sync.push(sync.take())
    samples.commit.push(commit.take())
    samples.trip.push(await udp.roundTrip())
  }
  const rates = [await udp.blast(datagramBytes, 1), await udp.blast(datagramBytes, 1)]
  const row = (what: string, of: readonly number[], share: number): Measure =>
    measured({ what: `${what}, p${share * 100}`, unit: 'ms', figures: [quantile(of, share)] })
  return [
    ...[0.5, 0.99].map((share) => row('raw write of 4 KiB with fdatasync', samples.sync, share)),
    ...[0.5, 0.99].map((share) => row('raw commit of one row in SQLite', samples.commit, share)),
    ...[0.5, 0.99].map((share) => row('raw UDP round trip on loopback', samples.trip, share)),
    measured({ what: 'raw UDP of 16 KiB on loopback', unit: 'MB/s', figures: rates }),
  ]
}
