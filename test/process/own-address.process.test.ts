import { deepEqual } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import Database from 'better-sqlite3'
import { startDaemon } from '../../daemon/daemon.ts'
import type { HostNetwork } from '../../daemon/platform/net/udp-socket.ts'
import { open } from '../../sdk/index.ts'
import { LossyNetwork } from '../../sdk/testing/lossy-network.ts'

/** What Docker gives every machine. */
const bridgeIp = '172.17.0.1'

/** A machine with a bridge, whose name for the other one says the bridge's address too. */
function withBridge(host: HostNetwork, peerIps: readonly string[]): HostNetwork {
  const [ownIp = ''] = host.ownAddresses()
  return {
    ownAddresses: () => [ownIp, bridgeIp],
    lookup: (_, callback) =>
      callback(
        null,
        peerIps.map((address) => ({ address, family: 4 })),
      ),
    openSocket: async (options) => {
      const socket = await host.openSocket(options)
      const send = socket.send.bind(socket)
      // A datagram to the bridge stays on the machine.
      socket.send = (to, bytes) => send(to.ip === bridgeIp ? { ...to, ip: ownIp } : to, bytes)
      return socket
    },
  }
}

async function machine(context: TestContext, network: HostNetwork): Promise<string> {
  const place = mkdtempSync(join(tmpdir(), 'tinymq-bridge-'))
  const database = join(place, 'db')
  const daemon = await startDaemon({ database, port: 9000, http: 'off', network })
  context.after(async () => {
    await daemon.stop()
    rmSync(place, { recursive: true })
  })
  return database
}

function rowsIn(table: 'mqin' | 'mqevent', database: string): unknown {
  const db = new Database(database, { readonly: true })
  try {
    return db.prepare(`SELECT count(*) FROM ${table}`).pluck().get()
  } finally {
    db.close()
  }
}

test('P5: a name with an address that both machines have leads to the other', async (context) => {
  const network = new LossyNetwork(1)
  context.after(() => network.close())
  const [hostA, hostB] = [network.host('a'), network.host('b')]
  const a = await machine(context, withBridge(hostA, [bridgeIp, '10.0.0.2']))
  const b = await machine(context, withBridge(hostB, [bridgeIp, '10.0.0.1']))
  using mq = open(a)
  for (let row = 0; row < 10; row++) mq.send('MachineB', 9000, '', `row ${row}`)
  await mq.delivered(10, { signal: AbortSignal.timeout(20_000) })
  deepEqual([rowsIn('mqin', a), rowsIn('mqin', b), rowsIn('mqevent', a)], [0, 10, 0])
})
