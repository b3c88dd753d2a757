import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { hashOf, noQuery, outboxStates, parseRoute, searchBys, type Route } from './route.ts'

const boxes = fc.constantFrom('outbox' as const, 'inbox' as const)

const plain = { noNullPrototype: true }

const routes: fc.Arbitrary<Route> = fc.oneof(
  fc.constantFrom<Route>({ view: 'overview' }, { view: 'health' }),
  fc.string({ unit: 'binary' }).map((filter): Route => ({ view: 'peers', filter })),
  fc.record(
    {
      view: fc.constant('list' as const),
      box: fc.constant('outbox' as const),
      query: fc.record(
        {
          search: fc.string({ unit: 'binary' }),
          by: fc.constantFrom(...searchBys),
          state: fc.constantFrom(...outboxStates),
          isDead: fc.constant(false),
        },
        plain,
      ),
    },
    plain,
  ),
  fc.record(
    {
      view: fc.constant('list' as const),
      box: fc.constant('inbox' as const),
      query: fc.record(
        {
          search: fc.string({ unit: 'binary' }),
          by: fc.constantFrom(...searchBys),
          state: fc.constant('any' as const),
          isDead: fc.boolean(),
        },
        plain,
      ),
    },
    plain,
  ),
  fc.record(
    {
      view: fc.constant('message' as const),
      box: boxes,
      id: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    },
    plain,
  ),
)

test('every route comes back from its address', () => {
  fc.assert(fc.property(routes, (route) => deepEqual(parseRoute(hashOf(route)), route)))
})

test('nothing that is pasted breaks it', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseRoute(text)))
  deepEqual(parseRoute('#/outbox?search=%E0%A4%A&by=color'), {
    view: 'list',
    box: 'outbox',
    query: { ...noQuery, search: '\uFFFD%A' },
  })
  deepEqual(parseRoute('#/outbox/99999999999999999999'), {
    view: 'unknown',
    path: 'outbox/99999999999999999999',
  })
  deepEqual(parseRoute(''), { view: 'overview' })
})

test('an address says only what is not as usual', () => {
  equal(hashOf({ view: 'list', box: 'outbox', query: noQuery }), '#/outbox')
  equal(
    hashOf({ view: 'list', box: 'outbox', query: { ...noQuery, search: 'a b&c', by: 'host' } }),
    '#/outbox?search=a+b%26c&by=host',
  )
})
