/** The two headers by which an answer finds its question. */

import type { Message } from './message.ts'

/** In a request: what its reply must carry as `replyHeader`. */
export const requestHeader = 'request-id'
/** In a reply: the `requestHeader` of the request. */
export const replyHeader = 'in-reply-to'

/**
 * How long a reply is left to the process that waits for it, in milliseconds. That one needs a few;
 * after this it has ended or given up.
 */
export const replyWaitMs = 60_000

/** An SQL condition on the headers of a row of `mqin`: likely a reply. `isReply` is sure. */
export const isReplySql = (row: string): string => `${row}.headers LIKE '%"${replyHeader}"%'`

/** Whether somebody may wait for this message by `request`. */
export const isReply = ({ headers }: Message): boolean => typeof headers?.[replyHeader] === 'string'
