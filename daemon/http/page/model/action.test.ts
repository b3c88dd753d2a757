import { deepEqual, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { actionsOf } from './action.ts'
import type { Box } from './route.ts'

test('only what the state of a row allows is offered', () => {
  const names = (box: Box, state: Parameters<typeof actionsOf>[1]): string[] =>
    actionsOf(box, state).map(({ name }) => name)
  deepEqual(names('outbox', 'waiting'), ['retry', 'cancel'])
  deepEqual(names('outbox', 'parked'), ['retry', 'cancel'])
  deepEqual(names('outbox', 'in-flight'), ['cancel'])
  deepEqual(names('inbox', 'dead'), ['redrive'])
  deepEqual(names('inbox', 'leased'), [])
})

test('to cancel what is on its way is reported to be less than certain', () => {
  const [inFlight] = actionsOf('outbox', 'in-flight')
  const [, waiting] = actionsOf('outbox', 'waiting')
  notEqual(inFlight?.consequence, waiting?.consequence)
})
