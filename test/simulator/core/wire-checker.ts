/**
 * What must hold of the datagrams of any run, whatever the scenario: no packet number is used twice
 * (PROTOCOL §3.8), and no address gets more bytes in answer than came from it. Must never know a
 * key: it sees what an unauthenticated peer on the path sees.
 */
import { ok } from 'node:assert/strict'
import { type Address, addressKey } from '../../../daemon/protocol/io.ts'
import {
  type ConnectionId,
  decodePacket,
  type Packet,
} from '../../../daemon/protocol/codec/packet.ts'

type WireCounts = Record<Packet['type'] | 'junk', number>

/** At a new address the ack of an OPEN and then its OPENED: 36 and 95 bytes for 128. */
const slackBytes = 8

export class WireChecker {
  readonly counts: WireCounts = {
    hello1: 0,
    'foreign-hello1': 0,
    hello2: 0,
    retry: 0,
    data: 0,
    versions: 0,
    unknown: 0,
    wake: 0,
    junk: 0,
  }
  bytes = 0
  longestDatagram = 0
  /** P11 allows three; between honest nodes one is enough. */
  answersPerByteMax = 1
  readonly #newestNumbers = new Map<ConnectionId, number>()
  readonly #initiatorIds = new Set<ConnectionId>()
  /** What a host has got from an address, less what it has answered to it. */
  readonly #allowances = new Map<string, number>()

  get datagrams(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0)
  }

  onSent(from: Address, to: Address, bytes: Uint8Array): void {
    const packet = decodePacket(bytes)
    this.counts[packet?.type ?? 'junk']++
    this.bytes += bytes.length
    this.longestDatagram = Math.max(this.longestDatagram, bytes.length)
    if (packet === undefined) return
    if (packet.type === 'hello1') this.#initiatorIds.add(packet.scid)
    if (packet.type === 'data') {
      const newest = this.#newestNumbers.get(packet.dcid) ?? -1
      ok(packet.packetNumber > newest, 'A packet number is used once.')
      this.#newestNumbers.set(packet.dcid, packet.packetNumber)
    }
    if (this.#isAnswer(packet)) this.#onAnswer(from, to, bytes.length, packet.type)
  }

  onArrived(from: Address, to: Address, bytes: Uint8Array): void {
    const key = pairKey(to, from)
    this.#allowances.set(
      key,
      (this.#allowances.get(key) ?? 0) + this.answersPerByteMax * bytes.length,
    )
  }

  /** The same host, under another address from now on. */
  onMoved(from: Address, to: Address): void {
    const [before, after] = [`${addressKey(from)} `, `${addressKey(to)} `]
    for (const [key, bytes] of this.#allowances) {
      if (key.startsWith(before)) this.#allowances.set(after + key.slice(before.length), bytes)
    }
  }

  #isAnswer(packet: Packet): boolean {
    if (packet.type === 'data') return this.#initiatorIds.has(packet.dcid)
    return packet.type !== 'hello1' && packet.type !== 'foreign-hello1' && packet.type !== 'wake'
  }

  #onAnswer(from: Address, to: Address, bytes: number, type: string): void {
    const key = pairKey(from, to)
    const left = (this.#allowances.get(key) ?? 0) - bytes
    ok(
      left >= -slackBytes,
      `${addressKey(to)} gets no more than it sent: ${-left} bytes more, by ${type}.`,
    )
    this.#allowances.set(key, left)
  }
}

function pairKey(host: Address, other: Address): string {
  return `${addressKey(host)} ${addressKey(other)}`
}
