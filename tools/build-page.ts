/**
 * Builds the status page: daemon/http/page/ becomes dist/page/, the files that the daemon serves.
 * Must never make anything that its Content-Security-Policy rejects: no inline script, style or
 * file.
 */
import { join } from 'node:path'
import { build } from 'vite'

const root = join(import.meta.dirname, '..')

await build({
  root: join(root, 'daemon', 'http', 'page'),
  // Under any prefix: each file names the others relative to itself.
  base: './',
  configFile: false,
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: join(root, 'dist', 'page'),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    // A `data:` address would be rejected, and what is small is not slow either.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    // What is built in is published with it, under licenses that want to be there.
    license: { fileName: 'licenses.md' },
  },
})
