/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The types of `require('tinymq')`, for TypeScript in CommonJS modules, which may not name those of
 * an ES module without saying so. The build puts it next to require.cjs.
 */
import type * as sdk from './index.js' with { 'resolution-mode': 'import' }

export type {
  ConsumeOptions,
  DeliveredOptions,
  Headers,
  InboxMessage,
  Message,
  OutgoingMessage,
  ReadInboxOptions,
  SendOptions,
  SqliteHandle,
  Tinymq,
  TinymqErrorCode,
} from './index.js' with { 'resolution-mode': 'import' }

declare const open: typeof sdk.open
declare const sendStatement: typeof sdk.sendStatement
declare const TinymqError: typeof sdk.TinymqError
type TinymqError = sdk.TinymqError
export { open, sendStatement, TinymqError }
