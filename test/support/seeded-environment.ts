/**
 * The core's environment with real cryptography and chance that follows from a seed: a run repeats
 * itself to the byte. Must never be used outside tests.
 */
import { keyPairFrom, nodeEnvironment } from '../../daemon/node-crypto.ts'
import type { Environment } from '../../daemon/protocol/crypto/provider.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'

export function seededEnvironment(seed: number): Environment {
  const random = new SeededRandom(seed)
  const randomBytes = (length: number): Uint8Array =>
    Uint8Array.from({ length }, () => random.below(256))
  return {
    ...nodeEnvironment(),
    randomBytes,
    generateKeyPair: () => keyPairFrom(randomBytes(32)),
  }
}
