/**
 * Fuzzing of every decoder: nearly sound bytes go in; it must not throw, and what it makes of them
 * must encode to the same bytes again. An input that is taken and is of a new shape joins the
 * corpus, so that later ones are made of it.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import * as fc from 'fast-check'
import { decodeFrames, encodeFrame, type Role } from '../../daemon/protocol/codec/frame.ts'
import { InitiatorHandshake, respond } from '../../daemon/protocol/crypto/handshake.ts'
import { decodePacket, encodePacket, toConnectionId } from '../../daemon/protocol/codec/packet.ts'
import { decodeBody, RecordParser } from '../../daemon/store/record.ts'
import { framesOf } from '../support/frames.ts'
import { mutated, noise } from '../support/hostile.ts'
import { packets } from '../support/packets.ts'
import { bodyOf, messages, records } from '../support/records.ts'
import { seededEnvironment } from '../support/seeded-environment.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { keysPair } from '../support/session-pair.ts'
import { concat, isAllZero, Reader, Writer } from '../../daemon/protocol/codec/buffer.ts'
import { count, type Counts } from './fuzz-cluster.ts'

/** What the decoder made of it, in a word or two; undefined: rejected. @throws when it is wrong. */
type Decode = (bytes: Uint8Array, random: SeededRandom) => string | undefined

type Decoder = { readonly name: string; readonly weight: number; readonly decode: Decode }

const corpusMax = 4_000
const samples = 400
const bodyBytesMax = 10_000
const shapeLength = 60

const environment = seededEnvironment(5)
const decoders: readonly Decoder[] = [
  { name: 'packet', weight: 30, decode: decodesPacket },
  {
    name: 'frames of an initiator',
    weight: 20,
    decode: (bytes) => decodesFrames(bytes, 'initiator'),
  },
  {
    name: 'frames of a responder',
    weight: 20,
    decode: (bytes) => decodesFrames(bytes, 'responder'),
  },
  { name: 'records', weight: 15, decode: parsesRecords },
  { name: 'body', weight: 15, decode: decodesBody },
  { name: 'varint', weight: 5, decode: readsVarint },
  { name: 'text', weight: 5, decode: readsText },
  { name: 'sealed packet', weight: 2, decode: opensPacket },
  { name: 'handshake message', weight: 0.1, decode: agrees },
]

export class DecoderFuzz {
  /** By decoder: `packet taken`, `packet rejected`. */
  readonly tally: Counts = new Map()
  inputs = 0
  readonly #random: SeededRandom
  readonly #corpora: ReadonlyMap<string, Uint8Array[]>
  readonly #shapes = new Set<string>()

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#corpora = corporaOf(seed)
  }

  get shapes(): number {
    return this.#shapes.size
  }

  /** @throws Error with the bytes, when a decoder is wrong about them. */
  run(inputs: number): void {
    for (let index = 0; index < inputs; index++) this.#try(this.#random.oneByWeight(decoders))
    this.inputs += inputs
  }

  #try({ name, decode }: Decoder): void {
    const random = this.#random
    const corpus = this.#corpora.get(name) ?? []
    const isNoise = corpus.length === 0 || random.chance(0.1)
    const bytes = isNoise ? noise(random) : this.#changed(random.one(corpus), corpus)
    const before = bytes.slice()
    const shape = this.#decoded(name, decode, bytes)
    deepStrictEqual(bytes.length, before.length)
    count(this.tally, `${name} ${shape === undefined ? 'rejected' : 'taken'}`)
    if (shape === undefined || this.#shapes.has(`${name} ${shape}`)) return
    this.#shapes.add(`${name} ${shape}`)
    if (corpus.length < corpusMax) corpus.push(before)
  }

  #decoded(name: string, decode: Decode, bytes: Uint8Array): string | undefined {
    const digits = Buffer.from(bytes).toString('hex')
    try {
      return decode(bytes, this.#random)?.slice(0, shapeLength)
    } catch (cause) {
      throw new Error(`The decoder of a ${name} is wrong about ${digits}`, { cause })
    }
  }

  #changed(bytes: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
    const changed = mutated(bytes, this.#random)
    if (!this.#random.chance(0.2)) return changed
    const other = this.#random.one(corpus)
    return concat(
      changed.subarray(0, this.#random.below(changed.length + 1)),
      other.subarray(this.#random.below(other.length + 1)),
    )
  }
}

function corporaOf(seed: number): ReadonlyMap<string, Uint8Array[]> {
  const sampled = <T>(arbitrary: fc.Arbitrary<T>): T[] =>
    fc.sample(arbitrary, { numRuns: samples, seed })
  const framesBytes = (role: Role): Uint8Array[] =>
    sampled(fc.array(framesOf[role], { minLength: 1, maxLength: 4 })).map((frames) =>
      written((writer) => {
        for (const frame of frames) encodeFrame(writer, frame)
      }),
    )
  const texts = sampled(fc.string({ unit: 'binary' }))
  return new Map([
    ['packet', sampled(packets).map((packet) => Uint8Array.from(encodePacket(packet)))],
    ['frames of an initiator', framesBytes('initiator')],
    ['frames of a responder', framesBytes('responder')],
    [
      'records',
      sampled(fc.array(records, { maxLength: 4 })).map((all) =>
        concat(...all.map(({ bytes }) => bytes)),
      ),
    ],
    ['body', sampled(messages).map(bodyOf)],
    ['varint', sampled(fc.maxSafeNat()).map((value) => written((writer) => writer.varint(value)))],
    ['text', texts.map((text) => written((writer) => writer.text(text)))],
    ['sealed packet', [keysPair().initiator.seal(new Uint8Array(40).fill(1))]],
    ['handshake message', [helloOf()]],
  ])
}

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(64)
  write(writer)
  return Uint8Array.from(writer.written)
}

function helloOf(): Uint8Array {
  const scid = toConnectionId(environment.randomBytes(8))
  return new InitiatorHandshake(environment, scid, undefined).hello1()
}

function decodesPacket(bytes: Uint8Array): string | undefined {
  const packet = decodePacket(bytes)
  if (packet === undefined) return undefined
  if (packet.type !== 'foreign-hello1') deepStrictEqual([...encodePacket(packet)], [...bytes])
  return packet.type
}

function decodesFrames(bytes: Uint8Array, sender: Role): string | undefined {
  const frames = decodeFrames(bytes, sender)
  if (frames === undefined) return undefined
  const again = written((writer) => {
    for (const frame of frames) encodeFrame(writer, frame)
  })
  ok(Buffer.from(again).equals(bytes.subarray(0, again.length)), 'Frames encode as they came.')
  ok(isAllZero(bytes.subarray(again.length)), 'The rest is padding.')
  return frames.map(({ type }) => type).join()
}

/** In pieces of any length it must come to the same as in one. */
function parsesRecords(bytes: Uint8Array, random: SeededRandom): string | undefined {
  const whole = new RecordParser(bodyBytesMax).feed(bytes)
  const parser = new RecordParser(bodyBytesMax)
  const events: ReturnType<RecordParser['feed']> = []
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + 1 + random.below(random.one([2, 40, 2_000])))
    events.push(...parser.feed(bytes.slice(start, end)))
    start = end
    ok(parser.heldBytes <= bodyBytesMax + 16_384, 'No more is held than one record.')
  }
  deepStrictEqual(events, whole)
  if (events.some(({ type }) => type === 'malformed')) return undefined
  return events.map(({ type }) => type).join()
}

function decodesBody(bytes: Uint8Array): string | undefined {
  const message = decodeBody(bytes)
  if (message === undefined) return undefined
  ok(Buffer.from(bodyOf(message)).equals(bytes), 'A body encodes as it came.')
  return `${message.isText} ${message.headers === undefined} ${message.token.length}`
}

function readsVarint(bytes: Uint8Array): string | undefined {
  const reader = new Reader(bytes)
  const value = reader.varint()
  if (reader.failed) return undefined
  const again = written((writer) => writer.varint(value))
  ok(Buffer.from(again).equals(bytes.subarray(0, reader.offset)), 'There is one form of a number.')
  return String(again.length)
}

function readsText(bytes: Uint8Array): string | undefined {
  const reader = new Reader(bytes)
  const text = reader.text(200)
  if (reader.failed) return undefined
  const again = written((writer) => writer.text(text))
  ok(Buffer.from(again).equals(bytes.subarray(0, reader.offset)), 'There is one form of a text.')
  return String(text.length)
}

/** Only the packet as it was sealed opens, and only once. */
function opensPacket(bytes: Uint8Array): string | undefined {
  const { responder } = keysPair()
  const packet = decodePacket(bytes)
  if (packet?.type !== 'data') return undefined
  const plain = responder.open(packet)
  if (plain === undefined) return undefined
  deepStrictEqual(
    [...plain],
    Array.from({ length: 40 }, () => 1),
  )
  ok(responder.open(packet) === undefined, 'A packet opens once.')
  return 'data'
}

function agrees(bytes: Uint8Array): string | undefined {
  const hello1 = decodePacket(bytes)
  if (hello1?.type !== 'hello1') return undefined
  const response = respond(environment, hello1, toConnectionId(new Uint8Array(8)), undefined)
  return response === undefined ? undefined : 'keys'
}
