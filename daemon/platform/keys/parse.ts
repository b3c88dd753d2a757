/**
 * The text of a key ring: lines of `name = key`, comments, several keys of one name. Must never put
 * a key, a passphrase or any part of one into a problem: those are logged.
 */
import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'

/** What is written behind a name. */
type Material =
  | { readonly type: 'key'; readonly secret: Uint8Array }
  | { readonly type: 'passphrase'; readonly text: string }

export type RingLine = { readonly line: number; readonly name: string; readonly material: Material }

type RingText = {
  readonly lines: readonly RingLine[]
  /** Sentences that begin with their line. */
  readonly problems: readonly string[]
}

export const secretBytes = 32
const nameBytesMax = 255
/** More than a node can need; each costs a handshake's look-up nothing, but a reader much. */
const keysMax = 1_000
/** 32 random bytes have 30 different ones on the average, and never so few. */
const differentBytesMin = 16

/** Reads all of it; where there is a problem, the rest is read all the same. */
export function parseRing(text: string): RingText {
  const lines: RingLine[] = []
  const problems: string[] = []
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const parsed = parseLine(raw.trim())
    if (parsed === undefined) continue
    const line = index + 1
    if (typeof parsed === 'string') problems.push(`line ${line}: ${parsed}`)
    else lines.push({ line, ...parsed })
  }
  if (lines.length > keysMax) problems.push(`there are more than ${keysMax} keys`)
  if (lines.length === 0 && problems.length === 0) {
    problems.push('there is no key in it; tinymq keys new NAME makes one')
  }
  return { lines, problems }
}

/** Why a key cannot have this name, as the end of a sentence; undefined: it can. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'a name is missing before the ='
  if (Buffer.byteLength(name) > nameBytesMax) return 'a name has at most 255 bytes'
  if (/[\s\p{Cc}\p{Cf}="#,]/u.test(name)) {
    return 'a name has no spaces, commas, quotes, = and # in it, and nothing that cannot be seen'
  }
  return undefined
}

/** Undefined: nothing stands there. A text: what is wrong. */
function parseLine(text: string): Omit<RingLine, 'line'> | string | undefined {
  if (text === '' || text.startsWith('#')) return undefined
  const at = text.indexOf('=')
  if (at < 0) return 'there is no = in it; a line is NAME = KEY, and a comment begins with #'
  const name = text.slice(0, at).trim()
  const problem = nameProblem(name)
  if (problem !== undefined) return problem
  const material = parseMaterial(text.slice(at + 1).trim())
  return typeof material === 'string' ? `the key ${name} ${material}` : { name, material }
}

function parseMaterial(text: string): Material | string {
  const quoted = /^"([^"]*)"\s*(?:#.*)?$/.exec(text)?.[1]
  if (quoted !== undefined) return parsePassphrase(quoted)
  const bare = text.replace(/\s+#.*$/, '')
  const secret = decodeSecret(bare)
  if (secret === undefined) {
    return (
      `is neither ${secretBytes} bytes in base64 or hex nor a passphrase in double quotes; ` +
      'tinymq keys new makes a good one'
    )
  }
  if (new Set(secret).size < differentBytesMin) return 'is not random; tinymq keys new makes one'
  return { type: 'key', secret }
}

function decodeSecret(text: string): Uint8Array | undefined {
  if (/^[\da-f]{64}$/i.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'))
  if (!/^[\w+/-]{43}=?$/.test(text)) return undefined
  return Uint8Array.from(Buffer.from(text, 'base64'))
}

function parsePassphrase(text: string): Material | string {
  const bits = Math.floor(bitsOf(text))
  if (bits >= passphraseBitsMin) return { type: 'passphrase', text }
  return (
    `has a passphrase that could be guessed: it is worth some ${bits} bits, and ` +
    `${passphraseBitsMin} are asked for; take six unusual words, or better tinymq keys new`
  )
}

// How hard a passphrase is to guess, at most, and the key that is made of one. Whoever sees one
// handshake can try passphrases at home for years, so a weak one is rejected. Must never be
// taken for proof that a passphrase is good: it finds bad ones.

/**
 * With scrypt's half second and 128 MiB for each guess, 2^64 guesses are out of reach of
 * anybody; 16 fewer are not.
 */
export const passphraseBitsMin = 64

/** One word of a list of 2,000: people do not choose from longer ones. */
const bitsPerWord = 11
const bitsPerLetter = 4.7
const bitsPerDigit = 3.3
const bitsPerSign = 4

/**
 * An estimate from above: runs of letters are words, runs of digits numbers, each counts once;
 * repeated and ascending characters count as one.
 */
export function bitsOf(passphrase: string): number {
  const runs = passphrase.toLowerCase().match(/\p{L}+|\d+|[^\p{L}\d\s]/gu) ?? []
  return Array.from(new Set(runs)).reduce((sum, run) => sum + bitsOfRun(run), 0)
}

function bitsOfRun(run: string): number {
  const entropyBits = surprisesIn(run)
  if (/^\d/.test(run)) return entropyBits * bitsPerDigit
  if (/^\p{L}/u.test(run)) return Math.min(bitsPerWord, entropyBits * bitsPerLetter)
  return bitsPerSign
}

/** Characters that do not follow from the one before. */
function surprisesIn(run: string): number {
  let entropyBits = 0
  let previous = Number.NaN
  for (const character of run) {
    const code = character.codePointAt(0) ?? 0
    if (Number.isNaN(previous) || Math.abs(code - previous) > 1) entropyBits++
    previous = code
  }
  return entropyBits
}

const derive = promisify<string, string, number, object, Buffer>(scrypt)

/** PROTOCOL §4.6: takes half a second and 128 MiB, in another thread. */
export async function secretOf(name: string, passphrase: string): Promise<Uint8Array> {
  const cost = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 }
  return Uint8Array.from(await derive(passphrase, `tinymq:${name}`, 32, cost))
}
