import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { LaneLink } from '../../../test/simulator/store/lane-link.ts'
import { insert, lanesOf, World } from '../../../test/simulator/store/world.ts'

test('a row that a trigger of the inbox puts into the outbox is found', (t) => {
  const world = World.of(t)
  const [sender, receiver] = [world.machine(), world.machine()]
  receiver.user.exec(
    `CREATE TRIGGER pass_on AFTER INSERT ON mqin
     BEGIN INSERT INTO mqout (host, data) VALUES ('c', NEW.data); END`,
  )
  deepEqual(lanesOf(receiver), [])
  insert(sender, 'b', 'to be passed on')
  for (const lane of lanesOf(sender)) new LaneLink({ from: sender, to: receiver, lane }).settle()
  deepEqual(
    lanesOf(receiver).map(({ host }) => host),
    ['c'],
  )
  sender.close()
  receiver.close()
})

test('a clock that was set back keeps no rows waiting', (t) => {
  const machine = World.of(t).machine()
  insert(machine, 'b', 'before')
  equal(lanesOf(machine).length, 1)
  machine.nowMs -= 3_600_000
  machine.user.transaction(() => {
    for (let row = 0; row < 300; row++) insert(machine, 'b', 'after')
    insert(machine, 'c', 'after')
  })()
  deepEqual(
    lanesOf(machine)
      .map(({ host }) => host)
      .toSorted(),
    ['b', 'c'],
  )
  machine.close()
})

test('a row that was parked and inserted again is sent once it is freed', (t) => {
  const world = World.of(t)
  const [sender, receiver] = [world.machine(), world.machine()]
  receiver.user.exec(
    `CREATE TRIGGER picky BEFORE INSERT ON mqin BEGIN SELECT RAISE(ABORT, 'not now'); END`,
  )
  insert(sender, 'b', 'rejected')
  const [lane] = lanesOf(sender)
  ok(lane !== undefined)
  const link = new LaneLink({ from: sender, to: receiver, lane })
  link.settle()
  equal(sender.all('SELECT 1 FROM mqparked').length, 1)
  sender.user.exec(
    `INSERT OR REPLACE INTO mqout (id, host, port, token, created_at, uid, data)
     SELECT id, host, port, token, created_at, uid, data FROM mqout`,
  )
  link.drop()
  sender.nowMs += 2_000
  // Nothing can be sent: a lane that is named, and empty in the same breath, is never named again.
  deepEqual(lanesOf(sender), [])
  receiver.user.exec('DROP TRIGGER picky')
  sender.user.exec('DELETE FROM mqparked')
  sender.nowMs += 2_000
  deepEqual(lanesOf(sender), [lane])
  new LaneLink({ from: sender, to: receiver, lane }).settle()
  equal(receiver.all('SELECT 1 FROM mqin').length, 1)
  sender.close()
  receiver.close()
})
