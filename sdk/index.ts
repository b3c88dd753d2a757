/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The SDK of tinymq: send messages to other machines and read those that have arrived, through the
 * SQLite file that a daemon works on. Importing it loads nothing beyond itself; better-sqlite3 is
 * loaded when `open` is called with a path.
 */

export type { ConsumeOptions } from './consume-options.ts'
export { TinymqError, type TinymqErrorCode } from './errors.ts'
export type { SqliteHandle } from './handle.ts'
export type { InboxMessage } from './inbox-message.ts'
export type { Message, ReadInboxOptions } from './message.ts'
export type { Headers, OutgoingMessage } from './outgoing.ts'
export { sendStatement } from './send-statement.ts'
export { open } from './open.ts'
export type { DeliveredOptions, SendOptions, Tinymq } from './tinymq.ts'
