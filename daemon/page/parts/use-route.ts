/** The route in the address bar as state of a component, and ways to change it. */
import { useEffect, useState } from 'preact/hooks'
import { hashOf, parseRoute, type Route } from '../model/route.ts'

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const onChange = (): void => setHash(location.hash)
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  return parseRoute(hash)
}

/** Goes there without a step of its own in the history: for what changes with every key. */
export function replaceRoute(route: Route): void {
  history.replaceState(null, '', hashOf(route))
  // replaceState tells nobody.
  dispatchEvent(new HashChangeEvent('hashchange'))
}
