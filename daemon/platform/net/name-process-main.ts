/**
 * The entry of the process that looks names up: questions in, answers out, each when the system has
 * it. Must never be imported but for its types, and must never outlive the process that asks.
 */
import { lookup, type LookupAddress } from 'node:dns'

export type NameQuestion = { readonly id: number; readonly host: string }
export type NameAnswer = {
  readonly id: number
  /** The system's; undefined: the name was found. */
  readonly code: string | undefined
  readonly found: readonly LookupAddress[]
}

type Order = 'ipv4first' | 'ipv6first' | 'verbatim'

const order = process.argv[2] as Order

process.on('message', ({ id, host }: NameQuestion) => {
  lookup(host, { all: true, order }, (error, found) => {
    const code = error === null ? undefined : (error.code ?? 'unknown')
    const answer: NameAnswer = { id, code, found: error === null ? found : [] }
    process.send?.(answer)
  })
})
// An orderly end would wait for what hangs.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// A terminal, and a supervisor, signal the whole group: the parent says when it is time.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('SIGHUP', () => {})
