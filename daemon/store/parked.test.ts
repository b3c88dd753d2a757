import { deepEqual, equal } from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Connection } from './connection.ts'
import { ParkedRows } from './parked.ts'
import { World } from './testing/world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

test('a row that is refused again and again is tried at ever longer pauses', (t) => {
  const connection = new Connection(join(World.of(t).directory, 'template'), () => 0)
  const parked = new ParkedRows(connection)
  const readRetryAt = connection.prepareValue<[], number>('SELECT retry_at FROM mqparked')
  const pauses = (times: number, retryAfterMs: number): (number | undefined)[] =>
    Array.from({ length: times }, () => {
      parked.park(1, times, Buffer.alloc(16), { code: 'X', reason: 'x', retryAfterMs }, 0)
      return readRetryAt.get()
    })
  connection.begin()
  const inMinutes = pauses(8, minuteMs).map((pauseMs) => Number(pauseMs) / minuteMs)
  deepEqual(inMinutes, [1, 2, 4, 8, 16, 32, 60, 60])
  connection.prepareChange('DELETE FROM mqparked').run()
  deepEqual(pauses(2, 24 * hourMs), [24 * hourMs, 24 * hourMs])
  connection.close()
})

test('a row that was parked before the clock was set back is tried all the same', (t) => {
  const machine = World.of(t).machine()
  machine.user.exec("INSERT INTO mqout (host, data) VALUES ('b', 'x')")
  machine.user
    .prepare('INSERT INTO mqparked (id, uid, retry_at) SELECT id, uid, ? FROM mqout')
    .run(machine.nowMs + 48 * hourMs)
  machine.run({ type: 'scan' })
  equal(machine.all('SELECT * FROM mqparked').length, 0)
  machine.close()
})
