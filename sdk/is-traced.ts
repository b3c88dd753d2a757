/** What the oldest Node has, and its types lack. */

/** Whether anybody subscribes to a channel of `tracingChannel`. */
export const isTraced = (channel: object): boolean =>
  (channel as { readonly hasSubscribers: boolean }).hasSubscribers
