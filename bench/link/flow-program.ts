/**
 * One end of a plain flow, of the kernel's TCP or of raw UDP, as a program at an end of a link:
 * `receive tcp PORT`, `receive udp PORT`, `send tcp IP PORT`, `send udp IP PORT BYTES RATE`. A
 * receiver says "ready", and answers each line on stdin with the bytes that have come so far. All
 * of them end with stdin. Must never count what was sent for what has come.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { createInterface } from 'node:readline'

export type FlowKind = 'tcp' | 'udp'

const [mode = '', kind = '', ...rest] = process.argv.slice(2)
const turnMs = 2
/** As much as a daemon asks for. */
const udpBufferBytes = 4_194_304

async function receive(port: number): Promise<void> {
  let received = 0
  if (kind === 'tcp') {
    const server = createServer((socket) => {
      socket.on('data', (bytes) => void (received += bytes.length))
      // The other end is ended together with the link.
      socket.on('error', () => {})
    })
    server.listen(port)
    await once(server, 'listening')
  } else {
    const socket = createSocket({ type: 'udp4', recvBufferSize: udpBufferBytes })
    socket.on('message', (bytes) => void (received += bytes.length))
    socket.bind(port)
    await once(socket, 'listening')
  }
  console.log('ready')
  for await (const _ of createInterface(process.stdin)) console.log(received)
}

async function sendTcp(ip: string, port: number): Promise<void> {
  const socket = createConnection({ host: ip, port })
  socket.on('error', () => process.exit(0))
  await once(socket, 'connect')
  const bytes = Buffer.alloc(65_536, 1)
  for (;;) if (!socket.write(bytes)) await once(socket, 'drain')
}

/** Bytes a second of payload. */
function sendUdp(ip: string, port: number, bytes: number, rate: number): void {
  const socket = createSocket('udp4')
  const datagram = Buffer.alloc(bytes, 1)
  const startMs = performance.now()
  let sent = 0
  setInterval(() => {
    const due = ((performance.now() - startMs) / 1_000) * rate
    for (; sent + bytes <= due; sent += bytes) socket.send(datagram, port, ip)
  }, turnMs)
}

process.stdin.on('end', () => process.exit(0))
if (mode === 'receive') await receive(Number(rest[0]))
else {
  process.stdin.resume()
  const [ip = '', port, bytes, rate] = rest
  if (kind === 'tcp') await sendTcp(ip, Number(port))
  else sendUdp(ip, Number(port), Number(bytes), Number(rate))
}
