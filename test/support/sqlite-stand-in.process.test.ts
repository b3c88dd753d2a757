/** The stand-in for the `sqlite3` command line prints what the stock program prints. */
import { deepEqual, equal } from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needs, pathOf } from './needs.ts'
import { splitStatements } from './sqlite-stand-in.ts'

const standIn = join(import.meta.dirname, 'sqlite-stand-in.ts')
const script = `.timeout 500
CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x;''y'), (2.5, NULL), (-3, x'4142'), ('', 0.25);
CREATE TRIGGER later AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; -- the end;
SELECT * FROM t; SELECT b AS "c;d" FROM t /* ; */; SELECT 1 WHERE 0; PRAGMA foreign_keys;
BEGIN; DELETE FROM t WHERE a = 1; ROLLBACK; SELECT count(*) FROM t;`

test('the stand-in prints what sqlite3 prints', { skip: needs('sqlite3') }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-shell-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  for (const words of [['-bail'], ['-bail', '-json']]) {
    const printed = [[pathOf('sqlite3')], [process.execPath, standIn]].map(
      ([program = '', ...args], index) => {
        const path = join(directory, `${words.length}${index}.db`)
        return execFileSync(program, [...args, ...words, path], { input: script, encoding: 'utf8' })
      },
    )
    equal(printed[1], printed[0])
  }
})

test('the stand-in ends at the first error, as sqlite3 -bail does', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-shell-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const input = 'SELECT 1; SELECT absent; SELECT 2;'
  const words = [standIn, '-bail', join(directory, 'db')]
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { input, encoding: 'utf8' })
  deepEqual([status, stdout, stderr], [1, '1\n', 'Runtime error: no such column: absent\n'])
})

test('a script is split at the semicolons that end statements', () => {
  deepEqual(splitStatements("SELECT ';'; -- ;\nSELECT 2;  ;\n"), [
    "SELECT ';';",
    ' -- ;\nSELECT 2;',
  ])
})
