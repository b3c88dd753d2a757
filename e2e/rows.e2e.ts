/** Rows of every size and kind, and rows that somebody deletes, reroutes or rejects. No netem. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { range } from '../test/support/numbered.ts'
import { largeBoundaries, mediumBoundaries } from './messages.ts'
import { laneOf, type Stage } from './stage.ts'
import { stageFor } from './story.ts'

const each = 500
const hugeBytes = 2_000_000

const story = stageFor()

story('rows of every size and kind between three machines', async (stage) => {
  const names = stage.lab.machines.map(({ name }) => name)
  for (const [index, from] of names.entries()) {
    const to = names[(index + 1) % names.length] ?? ''
    // Each boundary is met as text and as a BLOB: the machines' numbers differ by one.
    const [first, last] = [1 + index, each + index]
    const large = [...mediumBoundaries, ...largeBoundaries.filter((bytes) => bytes < hugeBytes)]
    stage.insert({ from, to, first, last, bytes: 300, large })
  }
  const numbers = names.map((_, index) => range(1 + index, each + index))
  return {
    MachineA: { MachineC: numbers[2] ?? [] },
    MachineB: { MachineA: numbers[0] ?? [] },
    MachineC: { MachineB: numbers[1] ?? [] },
  }
})

story('rows around the window in which a large row is read', async (stage) => {
  const large = largeBoundaries.filter((bytes) => bytes >= hugeBytes)
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: 20, large })
  return { MachineB: { MachineA: 20 } }
})

story('rows that are deleted or rerouted while they wait', async (stage) => {
  const c = stage.lab.machine('C')
  await c.stop()
  stage.insert({ from: 'MachineA', to: 'MachineC', first: 1, last: each, bytes: 300 })
  const [first = 0] = stage.idsOf(laneOf('MachineA', 'MachineC'), [1])
  const idsOf = (from: number, to: number): string =>
    `id BETWEEN ${first + from - 1} AND ${first + to - 1}`
  await stage.shows(
    'MachineA',
    "SELECT count(*) FROM mqlane WHERE host = 'MachineC' AND error IS NOT NULL",
    (lanes) => lanes === 1,
  )
  // What is rerouted comes late to a lane that has passed its ids already.
  const later = range(1, 10)
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: later.length })
  await stage.received('MachineB', later.length)
  stage.execute('MachineA', `DELETE FROM mqout WHERE ${idsOf(101, 150)}`)
  stage.execute('MachineA', `UPDATE mqout SET host = 'MachineB' WHERE ${idsOf(201, 300)}`)
  await stage.received('MachineB', later.length + 100)
  await c.start()
  const rest = [...range(1, 100), ...range(151, 200), ...range(301, each)]
  const rerouted = { [laneOf('MachineA', 'MachineC')]: range(201, 300) }
  return { MachineB: { ...rerouted, MachineA: later }, MachineC: { MachineA: rest } }
})

/** The others leave the outbox of A as soon as their confirms have come. */
async function keeps(stage: Stage, rows: number): Promise<void> {
  await stage.shows('MachineA', 'SELECT count(*) FROM mqout', (found) => found === rows)
}

const limitBytes = 100_000
const refusedRows = 3

story(
  'a row that the peer rejects is parked, overtaken, and sent when the peer takes it',
  async (stage) => {
    const limit = "FROM mqmeta WHERE key = 'message_bytes_max'"
    const before = String(stage.value('MachineB', `SELECT value ${limit}`))
    const limitTo = (bytes: number | string): void =>
      stage.execute(
        'MachineB',
        `UPDATE mqmeta SET value = ${bytes} WHERE key = 'message_bytes_max'`,
      )
    limitTo(limitBytes)
    // The session of the story before knows the limit of then.
    await stage.lab.machine('B').restart()
    const large = [2 * limitBytes]
    stage.insert({ from: 'MachineA', to: 'MachineB', first: each + 1, last: each + 1, large })
    stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: each, bytes: 300 })
    await stage.received('MachineB', each)
    const reason = await stage.shows(
      'MachineA',
      'SELECT code FROM mqparked',
      (code) => code !== undefined,
    )
    match(String(reason), /^TINYMQ_PEER_LIMIT$/)
    await keeps(stage, 1)
    limitTo(before)
    await stage.lab.machine('B').restart()
    stage.execute('MachineA', "UPDATE mqout SET host = 'MachineB'")
    return { MachineB: { MachineA: each + 1 } }
  },
)

story('a row that a trigger of the inbox rejects, and takes later', async (stage) => {
  stage.allowEvents('TINYMQ_REFUSED')
  const firstRefused = each - refusedRows + 1
  // First in the outbox and last in the inbox: whatever is parked is overtaken (P4).
  stage.insert({ from: 'MachineA', to: 'MachineC', first: each + 1, last: each + 1 })
  await stage.sentAll()
  const [last = 0] = stage.idsOf(laneOf('MachineA', 'MachineC'), [each + 1])
  stage.execute(
    'MachineB',
    `CREATE TRIGGER reject BEFORE INSERT ON mqin WHEN NEW.sender_row <= ${last + refusedRows}
     BEGIN SELECT RAISE(ABORT, 'not yet'); END`,
  )
  stage.insert({ from: 'MachineA', to: 'MachineB', first: firstRefused, last: each })
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: firstRefused - 1, bytes: 300 })
  await stage.received('MachineB', each - refusedRows)
  await keeps(stage, refusedRows)
  const refused = stage.idsOf(laneOf('MachineA', 'MachineB'), range(firstRefused, each))
  deepEqual(stage.values('MachineA', 'SELECT id FROM mqout ORDER BY id'), refused, 'they are kept')
  deepEqual(stage.values('MachineA', 'SELECT id FROM mqparked ORDER BY id'), refused)
  const events = "SELECT count(*) FROM mqevent WHERE code = 'TINYMQ_REFUSED' AND host = 'MachineA'"
  equal(stage.value('MachineB', events), 1, 'the receiver says why, once')
  stage.execute('MachineB', 'DROP TRIGGER reject')
  stage.execute('MachineA', 'DELETE FROM mqparked')
  return { MachineB: { MachineA: each }, MachineC: { MachineA: [each + 1] } }
})

story('two outboxes for one inbox, each in order', async (stage) => {
  for (const part of range(0, 4)) {
    const [first, last] = [part * each + 1, (part + 1) * each]
    for (const from of ['MachineA', 'MachineC']) {
      stage.insert({ from, to: 'MachineB', first, last, large: [] })
    }
    stage.insert({
      from: 'MachineA',
      to: 'MachineC',
      first,
      last,
      large: [],
    })
  }
  return {
    MachineB: { MachineA: 5 * each, MachineC: 5 * each },
    MachineC: { MachineA: 5 * each },
  }
})
