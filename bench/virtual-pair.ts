/**
 * Two cores and a link between them in virtual time, the first with as much to send as it is
 * offered. In place of the stores stand two counters: bytes without end on one side, bytes in order
 * on the other.
 */
import { nodeEnvironment } from '../daemon/node-crypto.ts'
import type { Input, Output } from '../daemon/protocol/io.ts'
import { Endpoint } from '../daemon/protocol/endpoint.ts'
import type { StoreResult, StoreWork } from '../daemon/protocol/store-messages.ts'
import { BottleneckLink } from '../test/simulator/core/bottleneck-link.ts'
import { VirtualTime } from '../test/simulator/core/virtual-time.ts'

type PairOptions = {
  readonly seed: number
  readonly bytesPerSecond: number
  readonly bufferBytes: number
  readonly delayUs: number
  readonly loss: number
}

type Side = { readonly ip: string; readonly node: Endpoint; readonly link: BottleneckLink }

const port = 9000
const storeUs = 500
const id = new Uint8Array(16)
/** What a sequence stands for here. */
const rowBytes = 130

export class VirtualPair {
  readonly #time: VirtualTime
  readonly #delayUs: number
  readonly #sender: Side
  readonly #receiver: Side
  #offered = 0
  #handedOver = 0
  #received = 0
  #read: Extract<StoreWork, { type: 'read' }> | undefined
  readonly #nextTickUs = new Map<Side, number>()

  constructor(options: PairOptions) {
    this.#time = new VirtualTime(options.seed)
    this.#delayUs = options.delayUs
    this.#sender = this.#side('10.0.0.1', options)
    this.#receiver = this.#side('10.0.0.2', options)
    const lane = { lane: 1, host: 'receiver', port, key: '' }
    this.#feed(this.#sender, { type: 'stored', result: { type: 'lanes', lanes: [lane] } })
  }

  get nowUs(): number {
    return this.#time.nowUs
  }

  /** Bytes of stream that have arrived in order. */
  get receivedBytes(): number {
    return this.#received
  }

  offer(bytes: number): void {
    this.#offered += bytes
    this.#answerRead()
  }

  runUntil(untilUs: number): void {
    this.#time.runUntil(untilUs)
  }

  /** A moment on. */
  step(): void {
    this.#time.runUntil(this.#time.nowUs + 100)
  }

  #side(ip: string, { bytesPerSecond, bufferBytes, loss }: PairOptions): Side {
    const options = {
      port,
      advertisedHost: '',
      advertisedPort: 0,
      keylessFrom: 'private',
      keys: [],
      datagramBytesMax: 16_384,
      bytesPerSecondMax: 0,
    } as const
    const link = new BottleneckLink(this.#time, { bytesPerSecond, bufferBytes, loss })
    return { ip, node: new Endpoint(options, nodeEnvironment(), 0), link }
  }

  #feed(side: Side, input: Input): void {
    for (const output of side.node.handle(input, this.#time.nowUs)) this.#perform(side, output)
    this.#schedule(side)
  }

  #schedule(side: Side): void {
    const deadlineUs = side.node.deadlineUs()
    if (deadlineUs === undefined) return
    const atUs = Math.max(deadlineUs, this.#time.nowUs)
    const plannedUs = this.#nextTickUs.get(side)
    if (plannedUs !== undefined && plannedUs <= atUs && plannedUs > this.#time.nowUs) return
    this.#nextTickUs.set(side, atUs)
    this.#time.at(atUs, () => {
      if (this.#nextTickUs.get(side) !== atUs) return
      this.#nextTickUs.delete(side)
      this.#feed(side, { type: 'tick' })
    })
  }

  #perform(side: Side, output: Output): void {
    const other = side === this.#sender ? this.#receiver : this.#sender
    switch (output.type) {
      case 'send': {
        const { bytes } = output
        const from = { ip: side.ip, port }
        side.link.send(bytes.length, this.#delayUs, () =>
          this.#feed(other, { type: 'datagram', from, bytes }),
        )
        return
      }
      case 'resolve': {
        const { host } = output
        const ips = [this.#receiver.ip]
        this.#time.at(this.#time.nowUs, () =>
          this.#feed(side, { type: 'resolved', host, ips, reason: '' }),
        )
        return
      }
      case 'store':
        return this.#work(side, output.work)
      case 'event':
    }
  }

  #work(side: Side, work: StoreWork): void {
    switch (work.type) {
      case 'open-lane': {
        const { session } = work
        return this.#answer(side, {
          type: 'lane-opened',
          session,
          databaseId: id,
          peer: undefined,
          stream: id,
          confirmed: 0,
        })
      }
      case 'check-identity':
        // A new session goes on where the receiver stands.
        this.#handedOver = this.#received
        return this.#answer(side, {
          type: 'identity-checked',
          session: work.session,
          decision: { type: 'go' },
        })
      case 'read':
        this.#read = work
        return this.#answerRead()
      case 'accept': {
        const { session } = work
        return this.#answer(side, {
          type: 'accepted',
          session,
          database: id,
          watermark: 0,
          digest: id,
          part: 0,
          logStart: 0,
          messageBytesMax: 67_108_864,
        })
      }
      case 'receive': {
        this.#received += work.bytes.length
        const { session } = work
        const sequence = Math.floor(this.#received / rowBytes)
        return this.#answer(side, { type: 'received', session, sequence, durable: this.#received })
      }
      // Counters have nothing to confirm, park or forget.
      case 'confirmed':
      case 'row-rejected':
      case 'lane-status':
      case 'lane-traffic':
      case 'release-session':
    }
  }

  #answerRead(): void {
    const read = this.#read
    const bytes = Math.min(read?.bytesMax ?? 0, this.#offered - this.#handedOver)
    if (read === undefined || bytes <= 0) return
    this.#read = undefined
    this.#handedOver += bytes
    this.#answer(this.#sender, {
      type: 'rows',
      session: read.session,
      bytes: new Uint8Array(bytes),
      lastSequence: Math.floor(this.#handedOver / rowBytes),
      drained: this.#handedOver === this.#offered,
    })
  }

  #answer(side: Side, result: StoreResult): void {
    this.#time.at(this.#time.nowUs + storeUs, () => this.#feed(side, { type: 'stored', result }))
  }
}
