import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { LaneLink } from './testing/lane-link.ts'
import { insert, lanesOf, World } from './testing/world.ts'

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
