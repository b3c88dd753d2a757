/** docs/sql.md against the tables as they are made: what users may rely on must stand there. */
import { deepEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { outboxTriggers } from './triggers.ts'
import { schemaSql, tableNames, viewNames } from './tables.ts'
import { scratchDatabase } from '../../test/support/scratch.ts'

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'sql.md'), 'utf8')
const named = new Set(Array.from(page.matchAll(/`([\w ]+)`/g), ([, name = '']) => name))

/** Tables that people read or write; the others are the daemon's own. */
const forPeople = ['mqout', 'mqin', 'mqdead', 'mqlease', 'mqparked', 'mqevent', ...viewNames]

test('docs/sql.md names every table and view', () => {
  const missing = [...tableNames, ...viewNames].filter(
    (name) => !named.has(name) && !page.includes(`## ${name}`) && !page.includes(` and ${name}`),
  )
  deepEqual(missing, [])
})

test('docs/sql.md names every column of what people read or write', (t) => {
  const db = scratchDatabase(t)
  const missing = forPeople.flatMap((table) => {
    const columns = db.prepare<[], { name: string }>(`PRAGMA table_xinfo(${table})`).all()
    return columns.filter(({ name }) => !named.has(name)).map(({ name }) => `${table}.${name}`)
  })
  deepEqual(missing, [])
})

test('docs/sql.md names every code with which a row is rejected', () => {
  const codes = Array.from((outboxTriggers + schemaSql).matchAll(/\((TINYMQ_\w+)\)/g))
  const missing = codes.map(([, code = '']) => code).filter((code) => !named.has(code))
  deepEqual(missing, [])
  ok(codes.length > 10)
})
