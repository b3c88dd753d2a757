import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { firstRowLine, wholeDataLine } from './action.ts'

test('the path is quoted where a shell would take it apart', () => {
  match(firstRowLine('/var/tmp/tinymqdb'), / \/var\/tmp\/tinymqdb \\\n/)
  match(firstRowLine("/my files/it's $(x).db"), / '\/my files\/it'\\''s \$\(x\)\.db' \\\n/)
})

test('the data of a dead letter is in a table of its own', () => {
  const select = (isDead: boolean): string => wholeDataLine('/a.db', 'inbox', 7, isDead)
  equal(select(false), `sqlite3 -cmd '.timeout 5000' /a.db "SELECT data FROM mqin WHERE id = 7;"`)
  equal(select(true), `sqlite3 -cmd '.timeout 5000' /a.db "SELECT data FROM mqdead WHERE id = 7;"`)
})
