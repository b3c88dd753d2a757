/**
 * The thread of a `LossyRelay`: datagrams of each client go on from a socket of their own, as
 * through a NAT, so that the daemon behind it knows its peer by the relay's address. Must never be
 * slower than the network that it plays.
 */
import { createSocket, type Socket } from 'node:dgram'
import { parentPort, workerData } from 'node:worker_threads'
import { ImpairedPath } from './impairment.ts'
import type { Datagrams, RelayCounters, RelayOptions } from './lossy-relay.ts'

const bufferBytes = 4_194_304

const { host, port, target, impairment, keeps = false } = workerData as RelayOptions
const there = new ImpairedPath(impairment, 0)
const back = new ImpairedPath(impairment, 1)
const counters: RelayCounters = { taken: 0, lost: 0, doubled: 0 }
const datagrams: Datagrams = { forth: [], back: [] }
const clients = new Map<string, Socket>()

const front = createSocket('udp4')
front.on('message', (bytes, { address, port: clientPort }) => {
  const upstream = upstreamOf(address, clientPort)
  if (keeps) datagrams.forth.push(bytes)
  pass(there, bytes, () => upstream.send(bytes, target.port, target.host))
})
front.bind(port, host, () => {
  widen(front)
  parentPort?.postMessage('listening', [])
})
parentPort?.on('message', (question: 'counters' | 'datagrams') => {
  parentPort?.postMessage(question === 'counters' ? counters : datagrams, [])
})

function upstreamOf(address: string, clientPort: number): Socket {
  const name = `${address} ${clientPort}`
  const known = clients.get(name)
  if (known !== undefined) return known
  const upstream = createSocket('udp4')
  clients.set(name, upstream)
  upstream.bind(0, '127.0.0.1', () => widen(upstream))
  upstream.on('message', (bytes) => {
    if (keeps) datagrams.back.push(bytes)
    pass(back, bytes, () => front.send(bytes, clientPort, address))
  })
  // A closed port behind the relay is asked to nobody, as by most networks.
  upstream.on('error', () => {})
  return upstream
}

function pass(path: ImpairedPath, bytes: Buffer, send: () => void): void {
  const arrivals = path.arrivalsMs(bytes.length)
  counters.taken++
  if (arrivals.length === 0) counters.lost++
  if (arrivals.length > 1) counters.doubled++
  for (const delayMs of arrivals) setTimeout(send, delayMs)
}

function widen(socket: Socket): void {
  socket.setRecvBufferSize(bufferBytes)
  socket.setSendBufferSize(bufferBytes)
}
