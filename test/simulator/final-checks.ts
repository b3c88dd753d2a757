/**
 * When all is over: what was put in and has not come must have been deleted by its owner, or lost
 * with somebody's file, and then the events must say so (P3, P10). Must never excuse a loss for
 * which there is no cause.
 */
import { tellsOf } from './store/reported-losses.ts'
import type { SimWorld } from './sim-world.ts'
import { expect } from './violation.ts'

type Event = { readonly code: string; readonly detail: string }

export function checkIdentity(world: SimWorld): void {
  const { machines, ledger } = world
  const arrived = new Set(machines.flatMap(({ inbox }) => [...inbox.numbers]))
  const reported = machines.flatMap(({ disk }) =>
    disk.read<Event>('SELECT code, detail FROM mqevent'),
  )
  for (const { number, id, sender, isExcused } of ledger.entries) {
    if (arrived.has(number) || isExcused) continue
    expect(
      ledger.lost.has(number),
      'lost',
      () => `Message ${number} (row ${id} of ${sender}) was lost without a word.`,
    )
    // With copies about, PROTOCOL §7.6 names what cannot be noticed.
    if (ledger.hasCopies || ledger.removed.has(sender) || ledger.lostAgain.has(number)) continue
    expect(
      reported.some(({ code, detail }) => tellsOf(code, detail, id)),
      'told',
      () => `Nobody was informed that message ${number} (row ${id} of ${sender}) is lost.`,
    )
  }
  expectEvents(world, reported)
}

/** Without cause, nobody is alarmed. */
function expectEvents({ ledger }: SimWorld, reported: readonly Event[]): void {
  if (ledger.hasReplaced) return
  const alarms = reported.filter(({ code }) => /^(?:PEER|SELF|INBOX)_/.test(code))
  expect(
    alarms.length === 0,
    'alarm',
    () => `No file was replaced, but somebody says ${alarms[0]?.code}: ${alarms[0]?.detail}`,
  )
}
