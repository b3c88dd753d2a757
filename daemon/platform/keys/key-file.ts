/**
 * Reads a key ring from its file: rejects one that others can read, derives what is given as
 * passphrases, and says all that is wrong at once. Must never give out half a ring, nor tell a
 * secret.
 */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import type { Key } from '../../protocol/crypto/handshake.ts'
import { type RingLine, parseRing, secretOf } from './parse.ts'
import { StartError } from '../start-error.ts'

export type RingKey = Key & { readonly line: number; readonly type: 'key' | 'passphrase' }

/** Where Docker and Swarm put a secret of this name: read if nothing else was chosen. */
export const dockerSecret = '/run/secrets/tinymq-keys'

const fileBytesMax = 1_048_576

type RingFile = {
  readonly path: string
  readonly keys: readonly RingKey[]
}

/**
 * @param keylessTokens need no key, so no key may have their name.
 * @param before what has been derived need not be derived again.
 * @throws StartError TINYMQ_INVALID_KEYS with everything that is wrong, each with its line.
 */
export async function readRing(
  path: string,
  keylessTokens: readonly string[] = [],
  before: DerivedKeyCache = new DerivedKeyCache(),
): Promise<RingFile> {
  const { lines, problems } = parseRing(readText(path))
  const conflicts = lines.flatMap(({ line, name }) =>
    keylessTokens.includes(name)
      ? [`line ${line}: the token ${name} is one of --keyless-tokens too: choose one of the two`]
      : [],
  )
  const found = [...problems, ...conflicts]
  if (found.length > 0) throw badKeys(path, found)
  const keys: RingKey[] = []
  for (const one of lines) keys.push(await keyOf(one, before))
  const doubles = doublesOf(keys)
  if (doubles.length > 0) throw badKeys(path, doubles)
  before.keepOnly(lines)
  return { path, keys }
}

/** The secrets of passphrases that were read before: each costs half a second. */
export class DerivedKeyCache {
  readonly #secrets = new Map<string, Uint8Array>()

  async secretOf(name: string, passphrase: string): Promise<Uint8Array> {
    const known = this.#secrets.get(`${name} ${passphrase}`)
    if (known !== undefined) return known
    const secret = await secretOf(name, passphrase)
    this.#secrets.set(`${name} ${passphrase}`, secret)
    return secret
  }

  keepOnly(lines: readonly RingLine[]): void {
    const kept = new Set(
      lines.flatMap(({ name, material }) =>
        material.type === 'passphrase' ? [`${name} ${material.text}`] : [],
      ),
    )
    for (const known of this.#secrets.keys()) if (!kept.has(known)) this.#secrets.delete(known)
  }
}

async function keyOf(
  { line, name, material }: RingLine,
  memory: DerivedKeyCache,
): Promise<RingKey> {
  const { type } = material
  const secret =
    material.type === 'key' ? material.secret : await memory.secretOf(name, material.text)
  return { line, name, type, secret }
}

function doublesOf(keys: readonly RingKey[]): string[] {
  const first = new Map<string, RingKey>()
  return keys.flatMap((key) => {
    const text = Buffer.from(key.secret).toString('base64')
    const other = first.get(text)
    if (other === undefined) {
      first.set(text, key)
      return []
    }
    return [`line ${key.line}: this is the key of line ${other.line} (${other.name}) once more`]
  })
}

function readText(path: string): string {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const stats = fstatSync(file)
    const problem = secretProblem(path, stats)
    if (problem !== undefined) throw badKeys(path, [problem])
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (cause instanceof StartError) throw cause
    const self = `this process runs as uid ${process.getuid?.()}, gid ${process.getgid?.()}`
    throw badKeys(path, [`it cannot be read: ${(cause as Error).message}; ${self}`], cause)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * What is wrong with the file of a secret: who else could read or change it. A secret of Docker's
 * is nobody else's, whatever its mode.
 */
export function secretProblem(path: string, stats: Stats): string | undefined {
  const { mode, uid, size } = stats
  if (!stats.isFile()) return 'it is not a file'
  if (size > fileBytesMax) return `it has more than ${fileBytesMax} bytes`
  const self = process.getuid?.()
  if (self === undefined || /^(?:\/var)?\/run\/secrets\//.test(path)) return undefined
  const octal = (mode & 0o777).toString(8).padStart(3, '0')
  if ((mode & 0o022) !== 0) return `others may write to it (mode ${octal}): chmod 600 ${path}`
  if ((mode & 0o004) !== 0) return `everybody may read it (mode ${octal}): chmod 600 ${path}`
  if (uid !== 0 && uid !== self) {
    return `it belongs to uid ${uid}, and this process runs as ${self}: chown ${self} ${path}`
  }
  return undefined
}

export function badKeys(path: string, problems: readonly string[], cause?: unknown): StartError {
  const [only] = problems
  const list = problems.length === 1 ? ` ${only}` : `\n  ${problems.join('\n  ')}\n`
  const sentence = `The key ring ${path} is not right:${list}`
  return new StartError('TINYMQ_INVALID_KEYS', sentence, { cause })
}
