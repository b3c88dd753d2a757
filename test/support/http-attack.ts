/**
 * What somebody who wants harm sends to the HTTP port, in a thread of its own, until it is
 * ended. Must never wait for an answer before it sends more.
 */
import { connect, type Socket } from 'node:net'
import { parentPort, Worker, workerData } from 'node:worker_threads'

export type AttackOrder = {
  readonly port: number
  /** Connections at a time. One that is closed is made again. */
  readonly connections: number
  /** What each sends, as long as the daemon takes it; '' for nothing. */
  readonly burst: string
  /** Between bursts of one connection; undefined: it sends one. */
  readonly everyMs: number | undefined
  /** Before a connection that was closed is made again. */
  readonly pauseMs: number
}

type AttackReport = { readonly opened: number; readonly bytesSent: number }

/** One that goes on until `end` is called, which gives its report. */
export class HttpAttack {
  readonly #worker: Worker
  readonly #report: Promise<AttackReport>

  constructor(order: AttackOrder) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: order })
    const { promise, resolve, reject } = Promise.withResolvers<AttackReport>()
    this.#worker.once('message', resolve)
    this.#worker.once('error', reject)
    this.#report = promise
  }

  async end(): Promise<AttackReport> {
    this.#worker.postMessage('end', [])
    const report = await this.#report
    await this.terminate()
    return report
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }
}

class Attack {
  readonly #order: AttackOrder
  readonly #sockets = new Set<Socket>()
  #opened = 0
  #bytesSent = 0
  #isOver = false

  constructor(order: AttackOrder) {
    this.#order = order
    for (let at = 0; at < order.connections; at++) this.#open()
  }

  end(): AttackReport {
    this.#isOver = true
    for (const socket of this.#sockets) socket.destroy()
    return { opened: this.#opened, bytesSent: this.#bytesSent }
  }

  #open(): void {
    const { port, pauseMs } = this.#order
    const socket = connect({ host: '127.0.0.1', port })
    this.#opened++
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('connect', () => this.#send(socket))
    socket.resume()
    socket.once('close', () => {
      this.#bytesSent += socket.bytesWritten
      this.#sockets.delete(socket)
      if (!this.#isOver) setTimeout(() => this.#open(), pauseMs)
    })
  }

  #send(socket: Socket): void {
    const { burst, everyMs } = this.#order
    if (burst === '' || socket.destroyed) return
    const isTaken = socket.write(burst)
    if (everyMs === undefined) return
    const again = (): unknown => setTimeout(() => this.#send(socket), everyMs)
    if (isTaken) again()
    else socket.once('drain', again)
  }
}

if (workerData !== null && parentPort !== null) {
  const port = parentPort
  const attack = new Attack(workerData as AttackOrder)
  port.once('message', () => port.postMessage(attack.end(), []))
}
