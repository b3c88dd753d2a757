import { deepEqual, equal } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RequestFeed } from './connections.ts'

type Asked = { readonly url: string; readonly response: ServerResponse }

async function served(context: TestContext): Promise<{ port: number; asked: Asked[] }> {
  const asked: Asked[] = []
  const feeds = new WeakMap<object, RequestFeed>()
  const server = createServer((request, response) => {
    feeds.get(request.socket)?.hold(response)
    asked.push({ url: request.url ?? '', response })
  })
  server.on('connection', (socket) => feeds.set(socket, new RequestFeed(socket)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, asked }
}

const head = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`

async function until(isIt: () => boolean): Promise<void> {
  while (!isIt()) await nextTurn()
}

test('a request is given when the answer to the one before has left', async (context) => {
  const { port, asked } = await served(context)
  const socket = connect(port, '127.0.0.1')
  context.after(() => socket.destroy())
  let reported = ''
  socket.on('data', (bytes) => (reported += bytes.toString()))
  const text = [head('/1'), head('/2', 'content-length: 5\r\n'), 'a\r\n\r\n', head('/3')].join('')
  socket.write(text)
  for (const number of [1, 2, 3]) {
    await until(() => asked.length === number)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    equal(asked.length, number)
    asked.at(-1)?.response.end(`answer ${number}.`)
  }
  await until(() => reported.includes('answer 3.'))
  deepEqual(
    asked.map(({ url }) => url),
    ['/1', '/2', '/3'],
  )
})

test('a head may come in any pieces', async (context) => {
  const { port, asked } = await served(context)
  const text = head('/1') + head('/2') + head('/3')
  for (let size = 1; size < 9; size++) {
    asked.length = 0
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    for (let at = 0; at < text.length; at += size) {
      socket.write(text.slice(at, at + size))
      await nextTurn()
    }
    for (const number of [1, 2, 3]) {
      await until(() => asked.length >= number)
      equal(asked.length, number)
      asked.at(-1)?.response.end('.')
    }
    socket.destroy()
  }
})

test('nothing is given after the last answer of a connection', async (context) => {
  const { port, asked } = await served(context)
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}).resume()
  socket.write(head('/1') + head('/2') + head('/3'))
  await until(() => asked.length === 1)
  asked[0]?.response.writeHead(401, { connection: 'close' }).end('no')
  await once(socket, 'close')
  for (let turn = 0; turn < 20; turn++) await nextTurn()
  equal(asked.length, 1)
})
