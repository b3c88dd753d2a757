/**
 * How hard a passphrase is to guess, at most, and the key that is made of one. Whoever sees one
 * handshake can try passphrases at home for years, so a weak one is rejected. Must never be taken
 * for proof that a passphrase is good: it finds bad ones.
 */
import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'

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
