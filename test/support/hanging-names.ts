/** A machine whose name service takes questions and never answers. It takes root. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Machine } from './machine.ts'
import type { TestEnvironment } from './test-environment.ts'

/** Three of them, as /etc/resolv.conf takes at most: the system asks one after the other. */
const silentServers = ['127.0.0.71', '127.0.0.72', '127.0.0.73']

/** Machine a; `good.test` is in its /etc/hosts. */
export async function withHangingNames(t: TestContext, scene: TestEnvironment): Promise<Machine> {
  const resolve = join(scene.directory, 'resolv.conf')
  const hosts = join(scene.directory, 'hosts')
  writeFileSync(resolve, silentServers.map((ip) => `nameserver ${ip}\n`).join(''))
  writeFileSync(hosts, '127.0.0.1 localhost good.test\n')
  for (const ip of silentServers) {
    const socket = createSocket('udp4').bind(53, ip)
    t.after(() => socket.close())
    await once(socket, 'listening')
  }
  const script =
    'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && shift && exec "$@"'
  const prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script]
  return scene.running('a', { prefix: [...prefix, resolve, hosts] })
}

/** Rows to `count` names that hang. */
export const rowsToHangingNames = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO mqout (host, data) SELECT 'host' || i || '.slow.test', 'x' FROM n;`
