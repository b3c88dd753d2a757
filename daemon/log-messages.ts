/**
 * What the events of the core are in the words of the log. Must never hold a message's data.
 */
import type { StoreEvent } from './store/thread/file-monitor.ts'
import type { LogLine } from './platform/log.ts'
import { type NodeEvent, showAddress } from './protocol/io.ts'
import type { StoreFault } from './store/error-classification.ts'
import { unreachable } from './protocol/assert.ts'
import type { LaneAddress } from './protocol/store-messages.ts'

export function eventLine(event: NodeEvent): LogLine {
  switch (event.type) {
    case 'lane-open': {
      const fields = { ...laneFields(event.lane), ip: event.to.ip }
      return { level: 'info', event: event.type, sentence: 'Sending to a peer.', fields }
    }
    case 'lane-waits': {
      const { code, reason } = event
      const fields = { ...laneFields(event.lane), code, reason }
      return { level: 'warn', event: event.type, sentence: 'Messages wait.', fields }
    }
    case 'peer-opened':
      return {
        level: 'info',
        event: event.type,
        sentence: 'Receiving from a peer.',
        fields: { from: showAddress(event.from), ...keyField(event.key) },
      }
    case 'clock-jumped': {
      const sentence = 'The clock has jumped, or this machine has slept: all sessions begin again.'
      return { level: 'warn', event: event.type, sentence }
    }
    case 'unauthenticated-peer':
      return { level: 'warn', event: event.type, ...unauthenticatedLine(event) }
    case 'peer-closed':
    case 'peer-broke-rule': {
      const isClosed = event.type === 'peer-closed'
      return {
        level: isClosed ? 'debug' : 'warn',
        event: event.type,
        sentence: isClosed ? 'A peer has closed.' : 'A peer broke a rule of the protocol.',
        fields: { from: showAddress(event.from), reason: event.reason },
      }
    }
    default:
      return unreachable(event)
  }
}

function unauthenticatedLine({
  from,
  hasKey,
}: Extract<NodeEvent, { type: 'unauthenticated-peer' }>): Pick<LogLine, 'sentence' | 'fields'> {
  const what = hasKey ? 'under a key that is not in the ring' : 'without a key'
  return {
    sentence: `Ignored an unauthenticated handshake ${what} (logged once a minute at most).`,
    fields: { from: showAddress(from) },
  }
}

/** What keeps the store from writing, or that it is over. */
export function faultLine(fault: StoreFault | undefined): LogLine {
  if (fault === undefined) {
    const sentence = 'The database can be written again: messages go on.'
    return { level: 'info', event: 'store-works', sentence }
  }
  const { level, code, sentence, hint } = fault
  const what = level === 'error' ? 'No message is sent or received' : 'The daemon goes on, but'
  const fields = { code, reason: sentence, advice: hint }
  return { level, event: 'store-waits', sentence: `${what}: ${sentence}.`, fields }
}

/** What the store has written to `mqevent`. */
export function notedLine({ code, host, port, detail }: StoreEvent): LogLine {
  const fields = { code, host: host ?? undefined, port: port ?? undefined }
  return { level: 'warn', event: 'store-event', sentence: detail ?? '', fields }
}

function laneFields({ lane, host, port, key }: LaneAddress): LogLine['fields'] {
  return { lane, host, port, ...keyField(key) }
}

function keyField(key: string): { key?: string } {
  return key === '' ? {} : { key }
}
