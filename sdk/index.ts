/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The SDK of tinymq: send messages to other machines and read those that have arrived, through the
 * SQLite file that a daemon works on. Importing it loads nothing beyond itself; better-sqlite3 is
 * loaded when `open` is called with a path.
 */

export type { ConsumeOptions } from './consumer/options.ts'
export { TinymqError, type TinymqErrorCode } from './schema/errors.ts'
export type { SqliteHandle } from './schema/sqlite-handle.ts'
export type { InboxMessage } from './consumer/leased-message.ts'
export type { Message, ReadInboxOptions } from './inbox-reader.ts'
export type { Headers, OutgoingMessage } from './outgoing-message.ts'
export { sendStatement } from './outgoing-message.ts'
export { open } from './open.ts'
export type { DeliveredOptions, SendOptions, Tinymq } from './client.ts'
