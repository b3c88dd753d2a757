import { deepEqual, equal } from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Connection } from '../connection.ts'
import { ParkedRows } from './parked-rows.ts'
import { World } from '../../../test/simulator/store/world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

test('a row that is rejected again and again is tried at ever longer pauses', (t) => {
  const connection = new Connection(join(World.of(t).directory, 'template'), () => 0)
  const parked = new ParkedRows(connection)
  const readRetryAt = connection.prepareValue<[], number>('SELECT retry_at FROM mqparked')
  let nowMs = 0
  // Each time the pause before has ended.
  const pauses = (times: number, retryAfterMs: number): number[] =>
    Array.from({ length: times }, () => {
      const refusedMs = nowMs
      parked.park(1, times, Buffer.alloc(16), { code: 'X', reason: 'x', retryAfterMs }, nowMs)
      nowMs = Number(readRetryAt.get())
      return nowMs - refusedMs
    })
  connection.begin()
  const inMinutes = pauses(8, minuteMs).map((pauseMs) => pauseMs / minuteMs)
  deepEqual(inMinutes, [1, 2, 4, 8, 16, 32, 60, 60])
  connection.prepareChange('DELETE FROM mqparked').run()
  deepEqual(pauses(2, 24 * hourMs), [24 * hourMs, 24 * hourMs])
  connection.close()
})

test('when the clock is set back under the daemon, parked rows are tried, each once', (t) => {
  const connection = new Connection(join(World.of(t).directory, 'template'), () => 0)
  const parked = new ParkedRows(connection)
  const refusal = { code: 'X', reason: 'x', retryAfterMs: minuteMs }
  const count = 1_200
  const nowMs = 10 * hourMs
  connection.begin()
  for (let id = 1; id <= count; id++) parked.park(1, id, Buffer.alloc(16), refusal, nowMs)
  deepEqual(parked.due(nowMs), [])
  deepEqual(parked.due(nowMs - 900), [])
  const freed: number[] = []
  for (let looks = 0; looks < 10; looks++) {
    const due = parked.due(nowMs - hourMs + looks)
    if (due.length === 0) continue
    freed.push(...due)
    parked.free(due, nowMs - hourMs)
    // The peer rejects them again: that is no reason to try them once more at once.
    for (const id of due) parked.park(1, id, Buffer.alloc(16), refusal, nowMs - hourMs)
  }
  deepEqual(
    freed,
    Array.from({ length: count }, (_, index) => index + 1),
  )
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

test('a row that was parked by a clock that was ahead is tried by the next daemon', (t) => {
  const machine = World.of(t).machine()
  machine.user.exec("INSERT INTO mqout (host, data) VALUES ('b', 'x'), ('b', 'y')")
  const park = machine.user.prepare(
    `INSERT INTO mqparked (id, uid, parked_at, retry_at)
     SELECT id, uid, ?, ? FROM mqout WHERE id = ?`,
  )
  // Twenty hours ahead, and for a minute.
  park.run(machine.nowMs + 20 * hourMs, machine.nowMs + 20 * hourMs + minuteMs, 1)
  park.run(machine.nowMs, machine.nowMs + minuteMs, 2)
  machine.crash()
  machine.run({ type: 'scan' })
  deepEqual(machine.all('SELECT id FROM mqparked'), [{ id: 2 }])
  machine.close()
})
