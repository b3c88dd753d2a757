/** What a test lacks is a reason to skip it, and a failure where nothing may be skipped. */
import { equal, match } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const module = JSON.stringify(new URL('./needs.ts', import.meta.url).href)

function ask(environment: NodeJS.ProcessEnv): { readonly out: string; readonly err: string } {
  const script = `import { needs } from ${module}; console.log(needs('sqlite3', 'chromium'))`
  const words = ['--input-type=module', '--eval', script]
  const { stdout, stderr } = spawnSync(process.execPath, words, {
    env: environment,
    encoding: 'utf8',
  })
  return { out: stdout, err: stderr }
}

test('a program that is not on the path is named with its package', () => {
  const { out } = ask({ PATH: '/nowhere' })
  match(out, /^needs sqlite3: apt-get install .* sqlite3; needs chromium: apt-get install .*\n$/)
})

test('where nothing may be skipped, the same is an error', () => {
  const { out, err } = ask({ PATH: '/nowhere', TINYMQ_TEST_WHOLE: '1' })
  equal(out, '')
  match(err, /TINYMQ_TEST_WHOLE=1 allows no skipped test, and this machine lacks: needs sqlite3/)
})
