/**
 * What somebody without a key can send: junk, mutated and replayed packets of others, floods of
 * handshakes from many addresses, cookies, hints. He sees everything on the wire, and may lie about
 * where he is. Must never send what an honest peer would.
 */
import { unreachable } from '../../daemon/protocol/assert.ts'
import type { Address } from '../../daemon/protocol/io.ts'
import {
  decodePacket,
  encodePacket,
  toConnectionId,
  type ConnectionId,
  type Packet,
} from '../../daemon/protocol/codec/packet.ts'
import { InitiatorHandshake } from '../../daemon/protocol/crypto/handshake.ts'
import { mutated, noise } from '../support/hostile.ts'
import { keyNamed, type Machine } from '../simulator/core/scenario.ts'
import { seededEnvironment } from '../support/seeded-environment.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { type FuzzCluster, count, type SeenDatagram, type Counts } from './fuzz-cluster.ts'

const port = 9000
const addresses = 4_096
/** Of a handshake: where its connection id and its key begin. */
const scidAt = 2
const datagramBytesMax = 65_507

const attacks = [
  { weight: 14, kind: 'junk' },
  { weight: 30, kind: 'mutated' },
  { weight: 12, kind: 'replayed' },
  { weight: 6, kind: 'reflected' },
  { weight: 8, kind: 'spliced' },
  { weight: 6, kind: 'cut or grown' },
  { weight: 12, kind: 'handshake from anywhere' },
  { weight: 1, kind: 'cookie' },
  { weight: 8, kind: 'hint' },
  { weight: 3, kind: 'other version' },
] as const

type Kind = (typeof attacks)[number]['kind']

export class UnauthenticatedAttackers {
  readonly kinds: Counts = new Map()
  readonly #cluster: FuzzCluster
  readonly #random: SeededRandom
  readonly #hello1s: readonly Uint8Array[]
  /** Cookies that were given to us, with the handshake and the address that they are for. */
  readonly #cookies: { cookie: Uint8Array; hello1: Uint8Array; from: Address }[] = []
  readonly #asked = new Map<ConnectionId, Uint8Array>()

  constructor(cluster: FuzzCluster, seed: number) {
    this.#cluster = cluster
    this.#random = cluster.random
    const environment = seededEnvironment(seed)
    this.#hello1s = Array.from({ length: 64 }, (_, index) => {
      const scid = toConnectionId(environment.randomBytes(8))
      return new InitiatorHandshake(
        environment,
        scid,
        index % 2 === 0 || cluster.key === '' ? undefined : keyNamed('k'),
      ).hello1()
    })
    for (let index = 0; index < 16; index++) this.#listen(strangerAt(index))
  }

  attack(): void {
    const { kind } = this.#random.oneByWeight(attacks)
    count(this.kinds, kind)
    const { from, to, bytes } = this.#datagram(kind)
    this.#cluster.inject(from, to, bytes)
  }

  #datagram(kind: Kind): { from: Address; to: Machine; bytes: Uint8Array } {
    const random = this.#random
    const somewhere = { from: this.#from(), to: random.one([this.#cluster.a, this.#cluster.b]) }
    const seen = this.#seen()
    const honest = { from: seen.from, to: this.#machineAt(seen.to) }
    switch (kind) {
      case 'junk':
        return { ...somewhere, bytes: noise(random) }
      case 'mutated':
        return {
          ...(random.chance(0.7) ? honest : somewhere),
          bytes: mutated(seen.bytes, random),
        }
      case 'replayed':
        return { ...(random.chance(0.5) ? honest : somewhere), bytes: seen.bytes }
      case 'reflected':
        return { from: seen.to, to: this.#machineAt(seen.from), bytes: seen.bytes }
      case 'spliced':
        return { ...honest, bytes: this.#spliced(seen.bytes) }
      case 'cut or grown':
        return { ...honest, bytes: this.#resized(seen.bytes) }
      case 'handshake from anywhere':
        return this.#hello(somewhere.to)
      case 'cookie':
        return this.#cookie(somewhere.to)
      case 'hint':
        return { ...(random.chance(0.5) ? honest : somewhere), bytes: this.#keyId(seen) }
      case 'other version': {
        const bytes = Uint8Array.from(random.one(this.#hello1s))
        bytes[1] = random.below(256)
        return { ...somewhere, bytes }
      }
      default:
        return unreachable(kind)
    }
  }

  #listen(address: Address): void {
    this.#cluster.scenario.network.attach(address, (_, bytes) => {
      const packet = decodePacket(Uint8Array.from(bytes))
      if (packet?.type !== 'retry') return
      const hello1 = this.#asked.get(packet.dcid)
      if (hello1 === undefined) return
      this.#cookies.push({ cookie: packet.cookie, hello1, from: address })
      if (this.#cookies.length > 64) this.#cookies.shift()
    })
  }

  #from(): Address {
    const { a, b } = this.#cluster
    const luck = this.#random.next()
    if (luck < 0.1) return a.host.address
    if (luck < 0.2) return b.host.address
    return strangerAt(this.#random.below(luck < 0.4 ? 16 : addresses))
  }

  #seen(): SeenDatagram {
    const { seen, rare } = this.#cluster
    const isRare = rare.length > 0 && this.#random.chance(0.3)
    return (isRare ? rare[this.#random.below(rare.length)] : undefined) ?? this.#random.one(seen)
  }

  #machineAt(address: Address): Machine {
    const { a, b } = this.#cluster
    return address.ip === a.host.address.ip ? a : b
  }

  /** The beginning of one and the end of another: an id or a header in the wrong session. */
  #spliced(bytes: Uint8Array): Uint8Array {
    const other = this.#seen().bytes
    const cut = this.#random.one([1, 2, 9, 10, 15, 18, 31, this.#random.below(bytes.length + 1)])
    return Buffer.concat([bytes.subarray(0, cut), other.subarray(cut)])
  }

  #resized(bytes: Uint8Array): Uint8Array {
    const random = this.#random
    const lengths = [0, 1, 8, 9, 14, 15, 30, 31, 32, 127, 128, 255, 256, 257, 1_200, 9_000]
    const length = random.chance(0.01) ? datagramBytesMax : random.one(lengths)
    const resized = new Uint8Array(length)
    resized.set(bytes.subarray(0, length))
    return resized
  }

  #hello(to: Machine): { from: Address; to: Machine; bytes: Uint8Array } {
    const bytes = Uint8Array.from(this.#random.one(this.#hello1s))
    for (let index = 0; index < 8; index++) bytes[scidAt + index] = this.#random.below(256)
    // Of half of them the key is another one: a new agreement, if it is answered.
    if (this.#random.chance(0.5)) bytes[40] = this.#random.below(256)
    const from = this.#from()
    this.#asked.set(toConnectionId(bytes.slice(scidAt, scidAt + 8)), bytes)
    if (this.#asked.size > 1_000)
      for (const scid of this.#asked.keys()) {
        this.#asked.delete(scid)
        break
      }
    return { from, to, bytes }
  }

  /** Cookies of the right address and of others, whole and mutated. */
  #cookie(to: Machine): { from: Address; to: Machine; bytes: Uint8Array } {
    const random = this.#random
    const held = this.#cookies[random.below(Math.max(1, this.#cookies.length))]
    if (held === undefined) return this.#hello(to)
    const hello1 = decodePacket(held.hello1)
    if (hello1?.type !== 'hello1') return this.#hello(to)
    const cookie = Uint8Array.from(held.cookie)
    if (random.chance(0.3)) cookie[random.below(16)] = random.below(256)
    const from = random.chance(0.7) ? held.from : this.#from()
    return { from, to, bytes: encodePacket({ ...hello1, cookie }) }
  }

  /** Packets that prove nothing, with ids that were on the wire. */
  #keyId(seen: SeenDatagram): Uint8Array {
    const random = this.#random
    const packet = decodePacket(seen.bytes)
    const dcid = idIn(packet) ?? toConnectionId(bytesOf(8, random))
    switch (random.below(5)) {
      case 0:
        return encodePacket({ type: 'unknown', dcid })
      case 1:
        return encodePacket({
          type: 'versions',
          dcid,
          versions: bytesOf(1 + random.below(16), random),
        })
      case 2:
        return encodePacket({ type: 'retry', dcid, cookie: bytesOf(16, random) })
      case 3: {
        const scid = toConnectionId(bytesOf(8, random))
        return encodePacket({ type: 'hello2', dcid, scid, noise: bytesOf(48, random) })
      }
      default:
        return encodePacket({ type: 'wake' })
    }
  }
}

/** Private addresses: keyless sessions may come from there. */
function strangerAt(index: number): Address {
  return { ip: `10.66.${index >> 8}.${index & 255}`, port }
}

function idIn(packet: Packet | undefined): ConnectionId | undefined {
  if (packet === undefined || packet.type === 'wake') return undefined
  return 'dcid' in packet ? packet.dcid : packet.scid
}

function bytesOf(length: number, random: SeededRandom): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = random.below(256)
  return bytes
}
