/**
 * The files of the status page, as they were built, read once and kept. Must never read a path that
 * a request names: it serves what it has found, by its name.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, sep } from 'node:path'

export type StaticFile = {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
  readonly etag: string
  /** Its name changes with what is in it. */
  readonly isImmutable: boolean
}

const types: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
}

/** By path, without a slash before it. Empty where the page is not built. */
export function readPage(folder: string): ReadonlyMap<string, StaticFile> {
  const files = new Map<string, StaticFile>()
  if (!existsSync(join(folder, 'index.html'))) return files
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const type = types[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(folder.length + 1).replaceAll(sep, '/')
    const bytes = Uint8Array.from(readFileSync(path))
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`
    files.set(name, { bytes, type, etag, isImmutable: name.startsWith('assets/') })
  }
  return files
}

/** The folder of the built page, seen from the sources and from what is compiled. */
export function pageFolder(): string {
  const compiled = join(import.meta.dirname, '..', '..', 'page')
  if (existsSync(join(compiled, 'index.html'))) return compiled
  return join(import.meta.dirname, '..', '..', 'dist', 'page')
}
