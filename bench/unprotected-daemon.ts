/**
 * A daemon whose packets are neither encrypted nor authenticated: what protection costs is seen
 * where there is none. Exists for the benchmark alone, and must never become an option.
 */
import { nodeEnvironment } from '../daemon/node-crypto.ts'
import { startDaemon } from '../daemon/daemon.ts'
import type { Aead, Environment } from '../daemon/protocol/crypto/provider.ts'
import { tagBytes } from '../daemon/protocol/codec/packet.ts'

/** As long as what is sealed, so that the network carries the same. */
const plain: Aead = {
  seal: (_nonce, _associatedData, plaintext) => {
    const sealed = new Uint8Array(plaintext.length + tagBytes)
    sealed.set(plaintext)
    return sealed
  },
  sealInto: (target, offset, _nonce, _associatedData, plaintext) => target.set(plaintext, offset),
  open: (_nonce, _associatedData, sealed) =>
    Uint8Array.from(sealed.subarray(0, sealed.length - tagBytes)),
}

export function unprotectedEnvironment(): Environment {
  return { ...nodeEnvironment(), aead: () => plain }
}

if (import.meta.main) {
  const [port = '', database = ''] = process.argv.slice(2)
  const environment = unprotectedEnvironment()
  const daemon = await startDaemon({ port: Number(port), database, environment })
  process.on('SIGTERM', () => void daemon.stop().then(() => process.exit(0)))
  process.stdout.write('started\n')
}
