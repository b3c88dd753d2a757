/** The version of this package, from the one place that states it. */
import { createRequire } from 'node:module'

export function readVersion(): string {
  const { version } = createRequire(import.meta.url)('tinymq/package.json') as { version: string }
  return version
}
