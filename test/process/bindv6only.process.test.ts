/** A system whose sockets for IPv6 take no IPv4 (net.ipv6.bindv6only=1). */
import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { needs } from '../support/needs.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const skip = needs('root', 'ip')

test('where a socket for IPv6 takes no IPv4, both are spoken all the same', { skip }, async (t) => {
  const scene = new TestEnvironment(t)
  const script = 'ip link set lo up && echo 1 > /proc/sys/net/ipv6/bindv6only && exec "$@"'
  const a = await scene.running('a', { prefix: ['unshare', '--net', 'sh', '-c', script, 'sh'] })
  const beside = ['nsenter', `--net=/proc/${a.daemon.pid}/ns/net`, '--']
  const b = await scene.running('b', { prefix: beside })
  const sql = (port: number): string =>
    ['127.0.0.1', '::1']
      .map(
        (ip) => `INSERT INTO mqout (host, port, data)
      VALUES ('${ip}', ${port}, '${ip}');`,
      )
      .join('')
  await a.sql(sql(b.port))
  await b.sql(sql(a.port))
  for (const machine of [a, b]) {
    await machine.sentAll(20_000)
    equal(
      await machine.sql('SELECT group_concat(data) FROM (SELECT data FROM mqin ORDER BY 1);'),
      '127.0.0.1,::1',
    )
    equal(
      await machine.sql('SELECT group_concat(host) FROM (SELECT host FROM mqin ORDER BY 1);'),
      '127.0.0.1,::1',
    )
  }
})
