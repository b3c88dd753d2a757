import { deepEqual, equal, ok } from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Connection } from '../connection.ts'
import { partBytesMaxOfKey, PartialBodies } from './partial-bodies.ts'
import type { SenderId } from './senders.ts'
import { World } from '../../../test/simulator/store/world.ts'

const pieceBytes = 100_000

type Kept = { readonly parts: PartialBodies; readonly keep: (id: SenderId, key: string) => void }

/** Room for five pieces under each key, and senders 1 to 4 of the key "a", 5 of "b". */
function roomForFive(t: TestContext): Kept {
  const world = World.of(t)
  world.machine().close()
  const connection = new Connection(join(world.directory, 'template'), () => 0)
  t.after(() => connection.close())
  connection.begin()
  const insert = connection.prepareChange<[number, Buffer, Buffer, string, number]>(
    'INSERT INTO mqsender (id, database_id, stream, key, seen_at) VALUES (?, ?, ?, ?, ?)',
  )
  for (const id of [1, 2, 3, 4, 5]) {
    const name = Buffer.alloc(16, id)
    // The later one was seen earlier.
    insert.run(id, name, name, id === 5 ? 'b' : 'a', 1_000 - id)
  }
  const parts = new PartialBodies(connection, 5 * pieceBytes)
  const keep = (id: SenderId, key: string): void => {
    parts.append({ id, key }, parts.kept(id), 10 * pieceBytes, Buffer.alloc(pieceBytes))
  }
  return { parts, keep }
}

const nobody = (): boolean => false
const everybody = (): boolean => true

test('what may be kept under a key has a bound, and no other key pays for it', (t) => {
  const { parts, keep } = roomForFive(t)
  for (let n = 0; n < 5; n++) {
    ok(parts.makeRoom('a', pieceBytes, everybody))
    keep(1, 'a')
  }
  ok(!parts.makeRoom('a', 1, everybody))
  ok(parts.makeRoom('b', 5 * pieceBytes, everybody))
  keep(5, 'b')
  deepEqual([parts.kept(1)?.bytes, parts.kept(5)?.bytes], [5 * pieceBytes, pieceBytes])
})

test('what nobody goes on with gives way, that which was not seen for longest first', (t) => {
  const { parts, keep } = roomForFive(t)
  for (const id of [1, 2, 3, 4, 4]) keep(id, 'a')
  keep(5, 'b')
  ok(parts.makeRoom('a', pieceBytes, (id) => id === 4))
  deepEqual(
    [1, 2, 3, 4, 5].map((id) => parts.kept(id)?.count ?? 0),
    [1, 1, 0, 2, 1],
  )
  ok(parts.makeRoom('a', 5 * pieceBytes, nobody))
  deepEqual(
    [1, 2, 3, 4, 5].map((id) => parts.kept(id)?.count ?? 0),
    [0, 0, 0, 0, 1],
  )
})

test('four of the largest bodies fit under a key', () => {
  equal(partBytesMaxOfKey, 1_024 * 1_048_576)
})
