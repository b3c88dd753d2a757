import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { madeDatabase, run } from '../test/support/command-run.ts'
import { scratchPath, shell } from '../test/support/scratch.ts'

const insertTwo = "INSERT INTO mqout (host, data) VALUES ('b', 'x'), ('c', 'y');"

test('cancel deletes rows and says which were not there', async (t) => {
  const path = madeDatabase(t)
  shell(path, insertTwo)
  const { code, out, said } = await run(path, ['cancel', '2', '9'])
  assert.deepEqual([code, out], [1, '2 cancelled\n'])
  assert.match(said, /row 9 is not in the outbox/)
  assert.equal(shell(path, 'SELECT id FROM mqout;').output, '1')
})

test('retry leaves a wish on lanes and takes parked rows out of where they are', async (t) => {
  const path = madeDatabase(t)
  shell(
    path,
    `${insertTwo} INSERT INTO mqlane (host, port) VALUES ('c', 9000), ('b', 9001), ('::1', 9000);
    INSERT INTO mqparked (id, uid, lane) SELECT id, uid, 1 FROM mqout;`,
  )
  const wishes = 'SELECT requested, host, port FROM mqlane WHERE requested IS NOT NULL;'
  assert.equal((await run(path, ['retry', 'b:9001'])).out, 'b:9001: 1 lane, 0 rows\n')
  assert.equal(shell(path, wishes).output, 'retry|b|9001')
  assert.equal((await run(path, ['retry', '2'])).out, 'row 2: 0 lanes, 1 row\n')
  assert.equal(shell(path, 'SELECT id FROM mqparked;').output, '1')
  // It is parked no more: now its lane is what it waits for.
  shell(path, 'UPDATE mqlane SET requested = NULL;')
  assert.equal((await run(path, ['retry', '2'])).out, 'row 2: 1 lane, 0 rows\n')
  assert.equal(shell(path, wishes).output, 'retry|c|9000')
  assert.equal((await run(path, ['retry', '2', '--resend'])).code, 1)
  assert.equal((await run(path, ['retry', '::1'])).out, '::1: 1 lane, 0 rows\n')
  const all = await run(path, ['retry', '--all', '--resend'])
  assert.equal(all.out, 'everything: 3 lanes, 1 row\n')
  assert.equal(shell(path, 'SELECT count(*) FROM mqparked;').output, '0')
  assert.equal(shell(path, "SELECT count(*) FROM mqlane WHERE requested = 'resend';").output, '3')
  const none = await run(path, ['retry', 'nobody'])
  assert.equal(none.code, 1)
  assert.equal((await run(path, ['retry'])).code, 64)
})

test('dead messages are listed, and go back to the end of the inbox', async (t) => {
  const path = madeDatabase(t)
  shell(
    path,
    `INSERT INTO mqin (host, data) VALUES ('a', 'alive'); DELETE FROM mqin;
    INSERT INTO mqdead (id, host, port, token, arrived_at, died_at, error, headers, data) VALUES
      (1, 'a', 9000, 't', 5, 1425211200000, 'no such customer', '{}', 'first'),
      (7, 'a', 9000, 't', 6, NULL, NULL, NULL, x'00ff');`,
  )
  const list = await run(path, ['dead', 'list'])
  assert.match(list.out, /1 {2}a:9000 {2}t +2015-03-01 12:00:00 {2}no such customer/)
  const back = await run(path, ['dead', 'redrive', '7', '8'])
  assert.deepEqual([back.code, back.out], [1, '7 is in the inbox again\n'])
  assert.equal((await run(path, ['dead', 'redrive', '--all'])).out, '1 back in the inbox\n')
  assert.equal(
    shell(path, 'SELECT id, arrived_at, headers, hex(data) FROM mqin;').output,
    '2|6||00FF\n3|5|{}|6669727374',
  )
  assert.equal((await run(path, ['dead', 'list'])).out, 'no dead messages\n')
  // A reply that came too late is for a consumer now; left as it is, it would die again at once.
  const late = `'{"a":1,"tinymq-in-reply-to":"x"}'`
  shell(path, `INSERT INTO mqdead (id, arrived_at, headers, data) VALUES (9, 4, ${late}, 'late');`)
  await run(path, ['dead', 'redrive', '9'])
  assert.equal(
    shell(path, "SELECT headers FROM mqin WHERE data = 'late';").output,
    '{"a":1,"tinymq-late-reply-to":"x"}',
  )
  assert.equal((await run(path, ['dead', 'redrive'])).code, 64)
})

test('backup is a whole database under a name of its own, and never overwrites', async (t) => {
  const path = madeDatabase(t)
  shell(path, insertTwo)
  const copy = scratchPath(t)
  const { code, out } = await run(path, ['backup', copy])
  assert.equal(code, 0)
  assert.match(out, /mq\.db {2}[\d.]+ KiB\n$/)
  assert.equal(shell(copy, 'PRAGMA integrity_check; SELECT data FROM mqout;').output, 'ok\nx\ny')
  const again = await run(path, ['backup', copy])
  assert.equal(again.code, 64)
  assert.match(again.said, /exists: name a file that does not/)
  const file = scratchPath(t)
  writeFileSync(file, '')
  const nowhere = await run(path, ['backup', `${file}/below`])
  assert.equal(nowhere.code, 64)
  assert.match(nowhere.said, /cannot be written: ENOTDIR/)
})

test('completions name every command and option, in three shells', async (t) => {
  const path = madeDatabase(t)
  for (const name of ['bash', 'zsh', 'fish']) {
    const { out, code } = await runCompletion(name)
    assert.equal(code, 0)
    for (const word of ['send', '--lines', 'redrive', '--follow', 'daemon']) {
      assert.ok(out.includes(word), `${name}: ${word}`)
    }
  }
  assert.equal((await runCompletion('tcsh')).code, 64)
  async function runCompletion(name: string): Promise<{ out: string; code: number }> {
    // It takes no database.
    const { runCommand } = await import('./main.ts')
    let out = ''
    const code = await runCommand(['completion', name], {
      out: (text) => void (out += text),
      say: () => {},
      outIsTerminal: false,
      sayIsTerminal: false,
      columns: 0,
      rows: 0,
      input: (async function* empty() {})(),
      inputIsTerminal: true,
      environment: {},
      signal: new AbortController().signal,
    })
    assert.ok(path !== '')
    return { out, code }
  }
})
