/**
 * What a turn of a store takes out of its mqout must be in the mqin of the peer that it was for.
 * Must never be used outside tests.
 */
import { ok } from 'node:assert/strict'
import type { Machine } from './machine.ts'

/** A message begins with its number and a colon: so many bytes tell it from all others. */
const keySql = 'hex(substr(CAST(data AS BLOB), 1, 12))'

export type Watched = {
  readonly machine: Machine
  /** Where rows for a host belong now. */
  readonly peerAt: (host: string) => Machine | undefined
  /** Of messages, by number, that a turn itself may take back: a trigger of the owner replaces. */
  readonly isExcused: (number: number) => boolean
}

/** From now on, at each turn of the machine. */
export function watchFreedRows({ machine, peerAt, isExcused }: Watched): void {
  let before = new Map<string, string>()
  machine.beforeTurn = () => {
    before = waitingOf(machine)
  }
  machine.afterTurn = () => {
    const after = waitingOf(machine)
    for (const [key, host] of before) {
      if (after.has(key)) continue
      const text = Buffer.from(key, 'hex').toString('latin1')
      if (isExcused(Number.parseInt(text, 10))) continue
      const isStored = peerAt(host)?.all(`SELECT 1 FROM mqin WHERE ${keySql} = ?`, key).length === 1
      ok(isStored, `a turn has freed the row ${text}, and ${host} has not stored it`)
    }
  }
}

function waitingOf(machine: Machine): Map<string, string> {
  const rows = machine.all(`SELECT ${keySql} AS key, host FROM mqout`)
  return new Map(rows.map(({ key, host }) => [String(key), String(host)]))
}
