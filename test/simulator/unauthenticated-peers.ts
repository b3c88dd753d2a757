/**
 * Datagrams of somebody who has no part in it: junk, and what was heard on the path, again, cut
 * short, bent, from another address or to another machine, or everything at once to whoever sent
 * it. Must never know a key.
 */
import { decodePacket } from '../../daemon/protocol/codec/packet.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { SimMachine } from './sim-machine.ts'
import type { SimWorld } from './sim-world.ts'

const heardMax = 64
const datagramsMax = 40
const reflectionUsMax = 1_000_000

export class UnauthenticatedPeers {
  readonly #world: SimWorld
  readonly #random: SeededRandom
  readonly #heard: Uint8Array[] = []
  #reflectsUntilUs = -Infinity

  constructor(world: SimWorld) {
    this.#world = world
    this.#random = world.random
    const { onSend } = world.network
    if (world.plan.faults.unauthenticated === 0) return
    world.network.onSend = (bytes, to, from) => {
      onSend(bytes, to, from)
      this.#listen(bytes)
      if (world.time.nowUs < this.#reflectsUntilUs) world.network.inject(to, from, bytes)
    }
  }

  speak(to: SimMachine): void {
    if (this.#random.chance(0.3)) return this.reflect()
    const { network, machines, port } = this.#world
    const own = { ip: '10.9.9.9', port }
    for (let left = this.#random.below(datagramsMax); left > 0; left--) {
      const liar = this.#random.one(machines).host.address
      const from = this.#random.chance(0.5) ? own : liar
      network.inject(from, to.host.address, this.#words())
    }
  }

  /** For a while, from the receiver's address and on the way to it besides. */
  reflect(): void {
    this.#reflectsUntilUs = this.#world.time.nowUs + this.#random.below(reflectionUsMax)
  }

  #listen(bytes: Uint8Array): void {
    const heard = Uint8Array.from(bytes)
    if (this.#heard.length < heardMax) this.#heard.push(heard)
    else if (this.#random.chance(0.02)) this.#heard[this.#random.below(heardMax)] = heard
  }

  #words(): Uint8Array {
    const junk = Uint8Array.from({ length: this.#random.below(200) }, () => this.#random.below(256))
    if (this.#heard.length === 0 || this.#random.chance(0.2)) return junk
    const heard = this.#random.one(this.#heard)
    // A handshake that is bent is another one, and without keys anyone may begin one.
    const isHello = decodePacket(heard)?.type === 'hello1'
    const bytes = Uint8Array.from(heard)
    const how = this.#random.next()
    if (how < 0.4) return bytes
    if (how < 0.7) return bytes.subarray(0, this.#random.below(bytes.length))
    const place = this.#random.below(bytes.length)
    bytes[place] = (bytes[place] ?? 0) ^ (1 + this.#random.below(255))
    return isHello ? junk : bytes
  }
}
