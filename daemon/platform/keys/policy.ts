/**
 * What the key ring and the options about it mean for the parts of a daemon. Must never read a
 * file but to see whether it is there.
 */
import { existsSync } from 'node:fs'
import { dockerSecret, type RingKey } from './key-file.ts'
import type { LogLine } from '../log.ts'
import type { Config } from '../config/options.ts'
import type { KeylessFrom } from '../../protocol/io.ts'
import { StartError } from '../start-error.ts'
import type { KeyPolicyChoice } from '../../store/key-policy.ts'

/**
 * The ring that is to be used, if there is one.
 * @throws StartError
 */
export function ringPath({ keys, keylessTokens }: Config): string | undefined {
  const path = keys ?? (existsSync(dockerSecret) ? dockerSecret : undefined)
  if (path !== undefined || keylessTokens.length === 0) return path
  const sentence =
    'Without a key ring no token needs a key, so --keyless-tokens means nothing: leave it out, ' +
    'or name the ring with --keys.'
  throw new StartError('TINYMQ_INVALID_OPTION', sentence)
}

export function keyPolicyOf({ keylessTokens }: Config, hasRing: boolean): KeyPolicyChoice {
  return hasRing ? { type: 'keys', keylessTokens } : { type: 'keyless' }
}

/** With a ring nobody comes in without a key, unless a token may. */
export function keylessFromOf(
  config: Pick<Config, 'keylessFrom' | 'keylessTokens'>,
  hasRing: boolean,
): KeylessFrom {
  return hasRing && config.keylessTokens.length === 0 ? 'nowhere' : config.keylessFrom
}

/** What the log says of it when the daemon starts. */
export function ringLine(config: Config, path: string, keys: readonly RingKey[]): LogLine {
  const { keylessTokens, keylessFrom } = config
  const from = keylessFrom === 'private' ? 'private addresses' : 'everybody'
  const without =
    keylessTokens.length === 0
      ? 'Messages without a key are neither taken nor sent.'
      : `Without a key only listed tokens are taken, from ${from}, and sent.`
  const fields = { path, keys: keys.length, names: namesOf(keys), keyless: keylessTokens.join() }
  return { level: 'info', event: 'keys', sentence: `There is a key ring. ${without}`, fields }
}

/**
 * What is new in a ring that was read again. Keys have no names of their own to be identified by.
 */
export function changeLine(before: readonly RingKey[], after: readonly RingKey[]): LogLine {
  const isIn = (ring: readonly RingKey[], key: RingKey): boolean =>
    ring.some(({ name, secret }) => name === key.name && Buffer.from(secret).equals(key.secret))
  const fields = {
    keys: after.length,
    added: namesOf(after.filter((key) => !isIn(before, key))),
    removed: namesOf(before.filter((key) => !isIn(after, key))),
  }
  const sentence = 'The key ring was read again.'
  return { level: 'info', event: 'keys-changed', sentence, fields }
}

function namesOf(keys: readonly RingKey[]): string {
  return Array.from(new Set(keys.map(({ name }) => name))).join(' ')
}

const hint =
  '--keys FILE gives this daemon a key ring: tinymq keys new NAME --keys FILE begins one.'

/** Said once at start where there is no ring. */
export const keylessSentences: { readonly [From in Config['keylessFrom']]: string } = {
  private:
    'No key ring: anybody at a loopback, private, link-local or carrier-grade address may send ' +
    `messages to this daemon, under any token. ${hint} --keyless-from anywhere takes them from ` +
    'everybody.',
  anywhere: `No key ring: everybody who reaches this port may send messages to it. ${hint}`,
}
