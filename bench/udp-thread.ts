/**
 * The other end of raw UDP: sends back what comes, and blasts on request. Must never
 * pace itself: it is the limit that others are held against.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { parentPort } from 'node:worker_threads'

/** Datagrams of `bytes` to a port of this machine for so long. */
export type EchoTask = { readonly port: number; readonly bytes: number; readonly seconds: number }

const host = '127.0.0.1'
/** As much as a daemon asks for. */
const udpBufferBytes = 4_194_304
/** The system takes what it can; more at once would only wait in this process. */
const atOnce = 32

const socket = createSocket({
  type: 'udp4',
  recvBufferSize: udpBufferBytes,
  sendBufferSize: udpBufferBytes,
})
socket.on('message', (bytes, { port, address }) => socket.send(bytes, port, address))
socket.bind(0, host)
await once(socket, 'listening')

async function blast({ port, bytes, seconds }: EchoTask): Promise<void> {
  const payload = Buffer.alloc(bytes, 1)
  const untilMs = performance.now() + seconds * 1_000
  while (performance.now() < untilMs) {
    const sends = Array.from({ length: atOnce }, async () => {
      const sent = Promise.withResolvers<void>()
      socket.send(payload, port, host, () => sent.resolve())
      return sent.promise
    })
    await Promise.all(sends)
  }
  parentPort?.postMessage('done', [])
}

parentPort?.on('message', (task: EchoTask) => void blast(task))
parentPort?.postMessage(socket.address().port, [])
