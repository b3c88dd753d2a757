/**
 * Databases that are put back to a copy while several lanes drain, on whatever link the story has
 * set. What must arrive is worked out from the copy and the outboxes, and not from what arrives.
 */
import { match, ok } from 'node:assert/strict'
import { range } from '../test/support/numbered.ts'
import { type Delivered, laneOf, type Stage } from './stage.ts'

const bytes = 1_000
/** Rows that are delivered after the copy was made, and rows that are sent after the restore. */
const more = 100
const afterFirst = 2_001
const afterLast = 2_100

const waiting = 'SELECT count(*) FROM mqout'

/**
 * A drains to B and to C when its database is put back, and B has rows from it that the copy does
 * not know. C is down then, so its rows can only wait: what A does to them on account of B is lost.
 * @param count of rows for each.
 */
export async function restoreSender(stage: Stage, count: number): Promise<Delivered> {
  const [a, c] = [stage.lab.machine('A'), stage.lab.machine('C')]
  const toB = (first: number, last: number): void => {
    stage.insert({ from: 'MachineA', to: 'MachineB', first, last, bytes })
  }
  const toC = (first: number, last: number): void => {
    stage.insert({
      from: 'MachineA',
      to: 'MachineC',
      first,
      last,
      bytes,
    })
  }
  toB(1, count)
  toC(1, count)
  await Promise.all(['MachineB', 'MachineC'].map(async (to) => stage.received(to, count / 10)))
  const copy = await a.copyDatabase()
  await c.stop()
  ok(stage.count('MachineC', 'mqin') < count, 'C was stopped in mid-drain')
  toB(count + 1, count + more)
  await stage.received('MachineB', count + more)
  await a.kill()
  const before = stage.count('MachineA', 'mqout')
  await a.restoreDatabase(copy)
  const again = stage.count('MachineA', 'mqout')
  ok(again > before, `${again} rows wait again and not ${before}: some were delivered`)
  toB(afterFirst, afterLast)
  toC(afterFirst, afterLast)
  await a.start()
  stage.allowEvents('SELF_ROLLED_BACK', 'SELF_FORKED')
  const events = "SELECT count(*) FROM mqevent WHERE code LIKE 'SELF_%' AND host = 'MachineB'"
  await stage.shows('MachineA', events, (reported) => reported === 1)
  await stage.shows('MachineA', `${waiting} WHERE host = 'MachineB'`, (rows) => rows === 0)
  await c.start()
  const after = range(afterFirst, afterLast)
  return {
    MachineB: { MachineA: [...range(1, count + more), ...after] },
    MachineC: { MachineA: [...range(1, count), ...after] },
  }
}

/**
 * A and C drain to B, and B to both, when B's database is put back. What B had confirmed since the
 * copy is lost, and each sender reports which of its rows these are.
 * @param count of rows on each lane.
 */
export async function restoreReceiver(stage: Stage, count: number): Promise<Delivered> {
  const [a, b, c] = [stage.lab.machine('A'), stage.lab.machine('B'), stage.lab.machine('C')]
  const senders = ['MachineA', 'MachineC']
  for (const from of senders) {
    stage.insert({ from, to: 'MachineB', first: 1, last: count, bytes })
    stage.insert({ from: 'MachineB', to: from, first: 1, last: count, bytes })
  }
  const isFrom = (from: string): string => `host ${from === 'MachineA' ? '=' : '<>'} 'MachineA'`
  const receivedFrom = (from: string): string => `SELECT count(*) FROM mqin WHERE ${isFrom(from)}`
  const reach = async (rows: number): Promise<void> => {
    const reached = senders.map(async (from) =>
      stage.shows('MachineB', receivedFrom(from), (found) => Number(found) >= rows),
    )
    await Promise.all(reached)
  }
  await reach(count / 10)
  const copy = await b.copyDatabase()
  await reach(Number(stage.value('MachineB', `SELECT count(*) / 2 FROM mqin`)) + count / 10)
  await b.kill()
  await Promise.all([a.stop(), c.stop()])
  ok(stage.count('MachineB', 'mqin') < senders.length * count, 'B was killed in mid-drain')
  await b.restoreDatabase(copy)
  stage.allowEvents('PEER_ROLLED_BACK', 'INBOX_ROLLED_BACK', 'SELF_ROLLED_BACK', 'SELF_FORKED')
  const arriving = senders.map((from) => {
    const lane = laneOf(from, 'MachineB')
    const kept = stage.numbers(
      'MachineB',
      lane,
      `SELECT sender_row FROM mqin WHERE ${isFrom(from)}`,
    )
    const left = stage.numbers(from, lane, 'SELECT id FROM mqout')
    return [from, [...new Set([...kept, ...left])].toSorted((one, two) => one - two)] as const
  })
  for (const from of senders) {
    stage.insert({ from, to: 'MachineB', first: afterFirst, last: afterLast, bytes })
  }
  await Promise.all([a, b, c].map(async (machine) => machine.start()))
  await stage.sentAll()
  for (const [from, numbers] of arriving) {
    const lost = range(1, count).filter((number) => !numbers.includes(number))
    ok(lost.length > 0, `rows of ${from} are lost with the receiver's database`)
    const ids = stage.idsOf(laneOf(from, 'MachineB'), lost)
    const named = new RegExp(`mqout\\.id ${ids.at(0)}-${ids.at(-1)}[:.]`)
    const select = "SELECT detail FROM mqevent WHERE code = 'PEER_ROLLED_BACK'"
    match(String(stage.value(from, select)), named, `${from} reports which`)
  }
  const after = range(afterFirst, afterLast)
  return {
    MachineA: { MachineB: count },
    MachineB: Object.fromEntries(arriving.map(([from, numbers]) => [from, [...numbers, ...after]])),
    MachineC: { MachineB: count },
  }
}
