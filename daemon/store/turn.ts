/**
 * One call of the store, as its parts see it. Must never hold state: a turn ends with the call.
 */
import type { StoreResult, StoreWork } from '../protocol/store-port.ts'

/** An answer, or what makes it: that is called when the transaction is on disk. */
export type Answer = StoreResult | (() => StoreResult)

/** One kind of what the core asks for. */
export type Work<Type extends StoreWork['type']> = Extract<StoreWork, { type: Type }>

/** The time of the call, and where its answers go. */
export type Turn = { readonly nowMs: number; readonly emit: (answer: Answer) => void }

export function resultOf(answer: Answer): StoreResult {
  return typeof answer === 'function' ? answer() : answer
}
