/**
 * The asynchronous context of handlers: that in which their consumer was begun, for each message
 * anew. Without it a handler would run in the context of the one before it, and what that one has
 * entered (`AsyncLocalStorage.enterWith`) would be told of the wrong message.
 */

import { AsyncResource } from 'node:async_hooks'

export class HandlerContext {
  readonly #origin = new AsyncResource('tinymq:consumer')

  /** Before Node.js 24 a context that was entered stays with its resource: so each has its own. */
  run<T>(handle: () => T): T {
    return this.#origin.runInAsyncScope(() =>
      new AsyncResource('tinymq:message').runInAsyncScope(handle),
    )
  }
}
