/**
 * The token that `tinymq ui` puts into the address of the page: kept for this origin, its port
 * included, and sent with each question. Must never stay in the address, which people send on.
 */

const key = 'tinymq-token'

/** Undefined without one: then a password may be asked for, by the browser. */
export function readToken(): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined
  } catch {
    return undefined
  }
}

/** Keeps what the address has. @returns whether it had one. */
export function takeToken(): boolean {
  const token = /^#token=([\da-f]+)$/.exec(location.hash)?.[1]
  if (token === undefined) return false
  try {
    localStorage.setItem(key, token)
  } catch {
    // Storage is forbidden: the page says that it may read nothing.
  }
  history.replaceState(null, '', `${location.pathname}#/`)
  return true
}
