import { equal, throws } from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Connection } from '../connection.ts'
import { RowWriter } from './row-writer.ts'
import { KeyPolicy } from '../key-policy.ts'
import { UidIndex } from './uid-index.ts'
import { UidLog } from './uid-log.ts'
import { Senders, Suspects } from './senders.ts'
import { MessageWriter } from './message-writer.ts'
import { environmentOf, World } from '../../../test/simulator/store/world.ts'

test('a message that finds the disk full is not rejected when there is room again', (t) => {
  const world = World.of(t)
  const { sha256 } = environmentOf(world.chance)
  const connection = new Connection(join(world.directory, 'template'), () => 0)
  const labels = new KeyPolicy({ type: 'keyless' })
  const suspects = new Suspects()
  const message = {
    uid: world.chance.bytes(16),
    isText: false,
    row: 1,
    timeMs: 0,
    token: '',
    headers: undefined,
    digest: undefined,
    data: Buffer.alloc(1_000_000),
  }
  const store = (pagesMax: number): unknown => {
    connection.prepareValue(`PRAGMA max_page_count = ${pagesMax}`).get()
    // As after a failed turn: all but the suspects is made again.
    const uidIndex = new UidIndex(connection, sha256)
    const log = new UidLog(connection, uidIndex)
    const senders = new Senders(connection, log, sha256)
    const rows = new RowWriter(connection)
    const messageWriter = new MessageWriter(
      connection,
      labels,
      senders,
      log,
      uidIndex,
      rows,
      suspects,
    )
    connection.begin()
    const sender = senders.find('', Buffer.alloc(16, 1), Buffer.alloc(16, 2))
    senders.writeNew(sender, 'a', 1, 0)
    return messageWriter.store(
      sender,
      [message],
      { sender: sender.id, key: '', host: 'a', port: 1 },
      [],
      0,
    )
  }
  for (const _ of ['once', 'twice']) {
    throws(() => store(1), /full/)
    connection.rollback()
  }
  equal(store(1_000_000), undefined)
  connection.close()
})
