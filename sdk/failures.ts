/**
 * Says that handlers fail and that messages go to `mqdead`: to the application when it has asked
 * for it, else as a warning of the process, of which there is one in a while, however many fail.
 * Must never let what the application does with it end a consumer.
 */

import { messageOf } from './errors.ts'
import { errorText } from './error-text.ts'
import type { Message } from './message.ts'

/** What has failed. */
export type Failure = {
  readonly message: Message
  readonly attempt: number
  /** It is in `mqdead`; else it is handled again after a while. */
  readonly isDead: boolean
}

export type OnError = (error: unknown, failure: Failure) => void

const warnEveryMs = 10_000
const reasonCharactersMax = 300

export class Failures {
  #nextMs = 0
  #left = 0

  /** `error` is what was thrown, or the reason in words. */
  report(error: unknown, failure: Failure, onError: OnError | undefined): void {
    if (onError === undefined) return this.#warn(error, failure)
    try {
      return onError(error, failure)
    } catch (cause) {
      return warn('TINYMQ_ON_ERROR', `onError has thrown: ${messageOf(cause)}`)
    }
  }

  #warn(error: unknown, { message, attempt, isDead }: Failure): void {
    const nowMs = performance.now()
    if (nowMs < this.#nextMs) {
      this.#left++
      return
    }
    this.#nextMs = nowMs + warnEveryMs
    const others = this.#left === 0 ? '' : ` (and ${this.#left} more since the last warning)`
    this.#left = 0
    const from = `message ${message.id} from ${oneLine(message.host) || 'an unknown host'}`
    const token = message.token === '' ? '' : ` with token ${oneLine(message.token)}`
    const what = isDead ? 'is dead, in mqdead,' : 'failed, and is handled again later,'
    const reason = oneLine(typeof error === 'string' ? error : errorText(error))
    const code = isDead ? 'TINYMQ_DEAD' : 'TINYMQ_FAILED'
    warn(code, `${from}${token} ${what} after attempt ${attempt}${others}: ${reason}`)
  }
}

/** One line on stderr, unless the application listens for warnings or has turned them off. */
export function warn(code: string, sentence: string): void {
  process.emitWarning(sentence, { type: 'TinymqWarning', code })
}

const oneLine = (text: string): string =>
  (text.split('\n')[0] ?? '').replaceAll(/\p{Cc}/gu, ' ').slice(0, reasonCharactersMax)
