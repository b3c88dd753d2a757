/** An upgrade removes the files of a daemon that runs; what it loads later is not there then. */
import { equal, match, ok, rejects } from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { DaemonProcess } from '../support/daemon-process.ts'
import { freePort } from '../support/free-port.ts'
import { until } from '../support/until.ts'

const root = join(import.meta.dirname, '..', '..')

test('a status page that an upgrade in place has removed ends no daemon', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-upgrade-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  for (const name of ['dist', 'package.json']) {
    cpSync(join(root, name), join(directory, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  const port = await freePort()
  const node = [process.execPath, join(directory, 'dist', 'cli', 'tinymq.js')]
  const daemon = new DaemonProcess({ port, database: join(directory, 'db'), node })
  t.after(async () => daemon.kill9())
  await daemon.started()
  rmSync(join(directory, 'dist', 'daemon', 'http', 'server.js'))
  for (const _ of [1, 2]) await rejects(fetch(`http://127.0.0.1:${port}/healthz`))
  const isReported = (): boolean => daemon.records.some(({ event }) => event === 'http-off')
  await until({ what: 'the log to say so', withinMs: 5_000 }, isReported)
  ok(!daemon.hasEnded)
  match(JSON.stringify(daemon.records), /restart the daemon after an upgrade/)
  equal(await daemon.stop(), '0')
})
