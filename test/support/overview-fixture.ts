/** An overview for unit tests: what a daemon says that has nothing to do. */
import type { Overview } from '../../daemon/http/api-types.ts'

export function anOverview(changes: Partial<Overview> = {}): Overview {
  const none = { value: 0, isExact: true }
  return {
    at: 1_000_000,
    node: {
      name: 'MachineA',
      version: '0.1.0',
      database: '/var/lib/tinymq/tinymqdb',
      address: '127.0.0.1:9000',
      startedAt: 900_000,
      pid: 7,
      canAct: false,
      hasKeys: false,
    },
    rates: { sentPerS: 0, receivedPerS: 0, sentBytesPerS: 0, receivedBytesPerS: 0 },
    totals: { sent: 0, received: 0, packetsSent: 0, packetsReceived: 0, retransmittedPackets: 0 },
    outbox: { waiting: none, inFlight: none, parked: none, oldestAgeMs: null },
    inbox: { rows: none, oldestAgeMs: null, dead: none },
    commit: { p50Us: null, p99Us: null, count: 0 },
    disk: { freeBytes: null, databaseBytes: null, walBytes: null },
    peers: [],
    peerCount: 0,
    health: 'ok',
    lastEvents: [],
    ...changes,
  }
}
