/**
 * UDP ports that nobody uses. They lie below the range from which systems hand out ports, so that
 * no socket of a relay takes one while the daemon that it is for is being started again.
 */
import { createSocket, type Socket } from 'node:dgram'

const portMin = 20_000
const portMax = 32_000

export async function freePort(): Promise<number> {
  for (;;) {
    const port = portMin + Math.floor(Math.random() * (portMax - portMin))
    const socket = createSocket('udp6')
    const isFree = await binds(socket, port)
    socket.close()
    if (isFree) return port
  }
}

async function binds(socket: Socket, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.once('error', () => resolve(false))
  socket.bind({ port, exclusive: true }, () => resolve(true))
  return promise
}
