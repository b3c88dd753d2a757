/**
 * Somebody on the path who has every packet and no key: what he sends again, bent, elsewhere or
 * back must change nothing, while the real packets go on.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { Address } from './io.ts'
import { at, keyNamed, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { delay } from '../../sdk/testing/wire-parts.ts'

type Overheard = { readonly bytes: Uint8Array; readonly from: Address; readonly to: Address }

const keys = [keyNamed('k', 1), keyNamed('l', 2)]
const elsewhere = at('10.66.6.6')

/** Three nodes under two keys, rows on every lane, and what an eavesdropper has written down. */
class Eavesdropped {
  readonly scenario = new Scenario({ parts: [delay(2_000)] })
  readonly a = this.#add('a')
  readonly b = this.#add('b')
  readonly c = this.#add('c')
  readonly heard: Overheard[] = []

  constructor() {
    this.scenario.network.onSend = (bytes, to, from) => {
      this.heard.push({ bytes: Uint8Array.from(bytes), from, to })
    }
    for (let turn = 0; turn < 6; turn++) {
      this.more()
      this.scenario.run(second / 10)
    }
  }

  more(): void {
    for (const [from, to] of [
      [this.a, this.b],
      [this.b, this.a],
      [this.c, this.b],
    ] as const) {
      for (const key of ['k', 'l']) this.scenario.send(from, to, 10, 200, key)
    }
  }

  inject(from: Address, to: Address, bytes: Uint8Array): void {
    this.scenario.network.inject(from, to, bytes)
    this.scenario.run(500)
  }

  /** All rows there, once and in order, and no session was lost over it. */
  expectUnharmed(): void {
    const opened = this.#opened()
    this.more()
    this.scenario.expectAll(2 * second)
    deepStrictEqual(this.#opened(), opened, 'The sessions are the same.')
    for (const { host } of [this.a, this.b, this.c]) {
      ok(!host.events.some(({ type }) => type === 'peer-broke-rule'), 'Nobody is blamed.')
    }
  }

  #opened(): number {
    return [this.a, this.b, this.c]
      .flatMap(({ host }) => host.events)
      .filter(({ type }) => type === 'peer-opened').length
  }

  #add(name: string): Machine {
    return this.scenario.add(name, { keys, keylessFrom: 'nowhere' })
  }
}

function bent(bytes: Uint8Array, index: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[index % copy.length] = (copy[index % copy.length] ?? 0) ^ (1 << (index & 7))
  return copy
}

const attacks: Readonly<
  Record<string, (on: Eavesdropped, heard: Overheard, index: number) => void>
> = {
  'sent again, and from elsewhere': (on, { bytes, from, to }) => {
    on.inject(from, to, bytes)
    on.inject(elsewhere, to, bytes)
  },
  'sent back to whoever made it': (on, { bytes, from, to }) => {
    on.inject(to, from, bytes)
    on.inject(elsewhere, from, bytes)
  },
  'cut off at every length': (on, { bytes, from, to }, index) => {
    on.inject(from, to, bytes.subarray(0, (index * 13) % bytes.length))
    on.inject(from, to, bytes.subarray(0, bytes.length - 1))
  },
  'longer than it was': (on, { bytes, from, to }) => {
    on.inject(from, to, Uint8Array.of(...bytes, 0))
  },
  'with a bit turned over, anywhere': (on, { bytes, from, to }, index) => {
    for (let bit = 0; bit < 4; bit++) on.inject(from, to, bent(bytes, index * 31 + bit * 7))
  },
  'given to another machine': (on, { bytes, from, to }) => {
    for (const { host } of [on.a, on.b, on.c]) {
      if (host.address.ip !== to.ip) on.inject(from, host.address, bytes)
    }
  },
  'put into another session, of this key or the other': (on, { bytes, from, to }, index) => {
    const other = on.heard[(index * 7 + 3) % on.heard.length]
    if (other === undefined || bytes[0] !== 0x40 || other.bytes[0] !== 0x40) return
    const spliced = Uint8Array.from(bytes)
    // The connection id, or the whole header, of the other.
    spliced.set(other.bytes.subarray(1, index % 2 === 0 ? 9 : 15), 1)
    on.inject(from, to, spliced)
    on.inject(other.from, other.to, spliced)
  },
}

for (const [what, attack] of Object.entries(attacks)) {
  test(`a packet that is ${what} changes nothing`, () => {
    const on = new Eavesdropped()
    on.scenario.expectAll(2 * second)
    const heard = on.heard.slice(0, 400)
    ok(heard.length > 100, 'There is something to attack with.')
    on.more()
    for (const [index, one] of heard.entries()) attack(on, one, index)
    on.scenario.expectAll(2 * second)
    on.expectUnharmed()
  })
}
