/**
 * What an operator can do to a row, in words that say what follows from it. Must never offer what
 * the state of the row does not allow.
 */
import type { InboxState, OutboxState } from '../../observe/page-api.ts'
import type { Box } from './route.ts'

export type Deed = {
  /** The last part of the address that is posted to. */
  readonly name: 'cancel' | 'retry' | 'redrive'
  readonly label: string
  readonly question: string
  readonly consequence: string
  readonly isDestructive: boolean
}

const cancel: Deed = {
  name: 'cancel',
  label: 'Stop sending',
  question: 'Stop sending this row?',
  consequence: 'It is deleted from the outbox. This cannot be undone.',
  isDestructive: true,
}

const cancelInFlight: Deed = {
  ...cancel,
  consequence: 'It is deleted from the outbox. The peer may have it already, and then keeps it.',
}

const retry: Deed = {
  name: 'retry',
  label: 'Retry now',
  question: 'Try this row again now?',
  consequence:
    'It does not wait for its time. If the peer still refuses it, it is set aside again.',
  isDestructive: false,
}

const redrive: Deed = {
  name: 'redrive',
  label: 'Redrive',
  question: 'Give this dead letter to the consumers again?',
  consequence: 'It goes back to the inbox with its attempts at 0. Mend what it failed on first.',
  isDestructive: false,
}

export function deedsOf(box: Box, state: OutboxState | InboxState): readonly Deed[] {
  if (box === 'inbox') return state === 'dead' ? [redrive] : []
  if (state === 'in-flight') return [cancelInFlight]
  return [retry, cancel]
}
