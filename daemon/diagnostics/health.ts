/**
 * What the diagnosis of a node is for programs: types only. Must never import anything, so that the
 * status page can take them as they are.
 */

/**
 * As the log, the page and the events have it. `error`: nothing moves at this machine, or what is
 * there is in danger; `warn`: some rows wait, or all may soon. A peer that is away is no error of
 * this machine: its rows wait, and go when it is back.
 */
export type HealthLevel = 'ok' | 'warn' | 'error'

/** `api/health`; `ok` is false when one of them is an error. */
export type Health = { readonly ok: boolean; readonly findings: readonly HealthFinding[] }

export type HealthFinding = {
  readonly level: HealthLevel
  readonly code: string
  readonly sentence: string
  /** What to do next; '' when there is nothing to do. */
  readonly hint: string
}
