/**
 * Who comes to the status page to hold its connections: those who send nothing, those who send a
 * little at a time, and too many of them.
 */
import { equal, match, ok } from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { PageClient } from '../support/page-client.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const connectionsMax = 128
const drop = 'x-slow: 1\r\n'
const dropMs = 200

/** What one who holds on to a connection received before it was closed. */
async function hold(port: number, first: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = connect({ host: '127.0.0.1', port })
  let reported = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => (reported += text))
  if (first !== '') socket.write(first)
  const drops = first === '' ? undefined : setInterval(() => socket.write(drop), dropMs)
  const late = setTimeout(() => reject(new Error('It is held for 30 s.')), 30_000)
  // Somebody who drops a line into a closed connection gets a reset.
  socket.on('error', () => {})
  socket.once('close', () => {
    clearInterval(drops)
    clearTimeout(late)
    resolve(reported)
  })
  return promise
}

test('nobody holds a connection by silence or slowness, the first one neither', async (context) => {
  const scene = new TestEnvironment(context)
  const { port } = await scene.running('a')
  // The first one is there before the program that answers is loaded.
  match(await hold(port, ''), /^HTTP\/1\.1 408 /)

  const slow = 'GET /api/overview HTTP/1.1\r\nhost: localhost\r\n'
  const answers = await Promise.all(
    Array.from({ length: connectionsMax + 20 }, async (_, at) => hold(port, at % 2 ? slow : '')),
  )
  const kept = answers.filter((answer) => answer.startsWith('HTTP/1.1 408 '))
  const refused = answers.filter((answer) => answer === '')
  equal(kept.length + refused.length, answers.length)
  ok(kept.length <= connectionsMax, `${kept.length} were let in`)
  ok(kept.length > connectionsMax / 2, `${kept.length} were let in`)
  equal((await new PageClient(port).ask('/healthz')).text, 'ok\n')
})
