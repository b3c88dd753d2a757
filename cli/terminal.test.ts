import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { madeDatabase } from '../test/support/command-run.ts'
import { shell } from '../test/support/scratch.ts'

const program = resolve(import.meta.dirname, 'tinymq.js')
const insertThree = "INSERT INTO mqin (arrived_at, data) VALUES (1, 'a'), (1, 'b'), (1, 'c');"

// Linux has one, macOS does not.
const full = '/dev/full'

if (existsSync(full)) {
  test('inbox --delete on a full disk deletes nothing and says why', (t) => {
    const path = madeDatabase(t)
    shell(path, insertThree)
    const stdout = openSync(full, 'w')
    const args = [program, 'inbox', '--delete', '--database', path]
    const stdio = ['ignore', stdout, 'pipe'] as const
    const { status, stderr } = spawnSync(process.execPath, args, { stdio: [...stdio] })
    closeSync(stdout)
    assert.match(String(stderr), /stdout cannot be written: ENOSPC.*Free space on that disk/)
    assert.equal(status, 74)
    assert.equal(shell(path, 'SELECT count(*) FROM mqin;').output, '3')
  })
}

test('inbox --delete whose reader has gone deletes what was read and no more', (t) => {
  const path = madeDatabase(t)
  shell(path, insertThree)
  // As long as the pipe takes it, a message counts as printed: so the reader goes first.
  const inbox = '"$0" "$1" inbox --raw --delete -d "$2"'
  const command = `{ sleep 0.1; ${inbox}; echo "exit $?" >&2; } | true`
  const args = ['-c', command, process.execPath, program, path]
  const { stderr } = spawnSync('sh', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  assert.equal(String(stderr), 'exit 141\n')
  assert.equal(shell(path, 'SELECT count(*) FROM mqin;').output, '3')
})
