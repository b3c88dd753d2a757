import { match } from 'node:assert/strict'
import { test } from 'node:test'
import { firstRowLine } from './first-row.ts'

test('the path is quoted where a shell would take it apart', () => {
  match(firstRowLine('/var/tmp/tinymqdb'), / \/var\/tmp\/tinymqdb \\\n/)
  match(firstRowLine("/my files/it's $(x).db"), / '\/my files\/it'\\''s \$\(x\)\.db' \\\n/)
})
