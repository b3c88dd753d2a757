/** `TinymqContainer`, as a user's test has it: two daemons in a network of testcontainers. */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Network } from 'testcontainers'
import { TinymqContainer } from '../sdk/testing/containers.ts'

const { TINYMQ_E2E_IMAGE: image } = process.env
const withinMs = 240_000

const options = { timeout: 2 * withinMs }

test('TinymqContainer sends, waits and shows what has come', options, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-container-'))
  t.after(() => rmSync(directory, { recursive: true }))
  chownSync(directory, 1_000, 1_000)
  await using network = await new Network().start()
  const container = (): TinymqContainer =>
    new TinymqContainer(image).withNetwork(network).withStartupTimeout(withinMs)
  await using a = await container().withNetworkAliases('a').start()
  await using b = await container().withNetworkAliases('b').withDirectory(directory).start()

  const data = ["It's 100 % 🐦", 'with a NUL \u0000 inside', '', new Uint8Array([0, 255, 39])]
  const first = await a.send({ host: 'b', data: 'first', headers: { reply: 'a' } })
  equal(first, 1)
  for (const each of data) await a.send({ host: 'b', token: 'orders', data: each })
  const inbox = await b.waitForInbox(1 + data.length, withinMs)
  await a.waitForEmptyOutbox(withinMs)
  deepEqual(
    inbox.map((message) => message.data),
    ['first', ...data],
  )
  deepEqual(inbox[0]?.headers, { reply: 'a' })
  equal(inbox[1]?.token, 'orders')

  using mq = b.open()
  deepEqual(Array.from(mq.readInbox()), inbox)
  throws(() => a.open(), { code: 'TINYMQ_INVALID_ARGUMENT' })
  await rejects(a.sql('SELECT * FROM nowhere'), /no such table/)
  await rejects(a.waitFor('SELECT 0', 100), { code: 'TINYMQ_TEST_ENVIRONMENT' })
})
