import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { LaneLink } from '../../../test/simulator/store/lane-link.ts'
import type { Machine } from '../../../test/simulator/store/machine.ts'
import { insert, lanesOf, World } from '../../../test/simulator/store/world.ts'

function deliver(from: Machine, to: Machine, data: string): void {
  insert(from, 'b', data)
  for (const lane of lanesOf(from)) {
    const link = new LaneLink({ from, to, lane })
    link.settle()
    link.drop()
  }
}

const inboxOf = (machine: Machine): unknown[] =>
  machine.all('SELECT data FROM mqin ORDER BY id').map(({ data }) => data)

test('a lane goes on after somebody has deleted all lanes', (t) => {
  const world = World.of(t)
  const [sender, receiver] = [world.machine(), world.machine()]
  deliver(sender, receiver, 'before')
  sender.user.exec('DELETE FROM mqlane')
  sender.crash()
  deliver(sender, receiver, 'after')
  deepEqual(inboxOf(receiver), ['before', 'after'])
  sender.close()
  receiver.close()
})

test('another sender is taken after somebody has deleted all senders', (t) => {
  const world = World.of(t)
  const [sender, another, receiver] = [world.machine(), world.machine(), world.machine()]
  deliver(sender, receiver, 'before')
  receiver.user.exec('DELETE FROM mqsender')
  receiver.crash()
  deliver(another, receiver, 'after')
  deepEqual(inboxOf(receiver), ['before', 'after'])
  for (const machine of [sender, another, receiver]) machine.close()
})
