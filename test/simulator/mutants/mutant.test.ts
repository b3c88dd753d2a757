import { equal, ok, throws } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needs } from '../../support/needs.ts'
import { applyMutant, checkMutant, readMutants } from './mutant.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const skip = needs('git')

const patch = `Defect: the lamp is on
Breaks: P0

--- a/lamp.ts
+++ b/lamp.ts
@@ -1,3 +1,3 @@
 // A lamp.
-const isOn = false
+const isOn = true
 export { isOn }
`

test('a defect applies to the text that it was made for, and to no other', { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tinymq-mutant-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'lamp.patch'), patch)
  writeFileSync(join(folder, 'lamp.ts'), '// A lamp.\nconst isOn = false\nexport { isOn }\n')
  const [mutant] = readMutants(folder)
  ok(mutant !== undefined)
  equal(mutant.name, 'the lamp is on')
  equal(mutant.breaks, 'P0')
  checkMutant(mutant, folder)
  applyMutant(mutant, folder)
  equal(
    readFileSync(join(folder, 'lamp.ts'), 'utf8'),
    '// A lamp.\nconst isOn = true\nexport { isOn }\n',
  )
  throws(() => applyMutant(mutant, folder), /does not apply any more: fix/)
})

test('there are fifteen defects and more, each with a name of its own', () => {
  const names = readMutants().map(({ name }) => name)
  ok(names.length >= 15)
  equal(new Set(names).size, names.length)
})

test('a defect that names a scenario names one that there is', () => {
  const named = readMutants().flatMap(({ scenario }) => (scenario === undefined ? [] : [scenario]))
  ok(named.length > 0)
  const scenarios = readFileSync(join(root, 'test/simulator/scenarios.test.ts'), 'utf8')
  for (const name of named) ok(scenarios.includes(`test('${name}`), name)
})

for (const mutant of readMutants()) {
  test(`the defect "${mutant.name}" applies to the sources as they are`, { skip }, () => {
    checkMutant(mutant, root)
  })
}
