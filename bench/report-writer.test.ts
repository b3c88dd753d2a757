import { equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { withFigures } from './report-writer.ts'

const begin = '<!-- figures of the last full run: npm run bench -- --write -->'
const end = '<!-- end of the figures -->'

test('the figures between the marks are replaced, and nothing else', () => {
  const page = `# Speed\n\n${begin}\n\nold\n\n${end}\n\nThe end.\n`
  const first = withFigures(page, '| a |')
  equal(first, `# Speed\n\n${begin}\n\n| a |\n\n${end}\n\nThe end.\n`)
  equal(
    withFigures(first, '| b $1 $& |'),
    first.replace('| a |', () => '| b $1 $& |'),
  )
})

test('a page without its marks, or with two places, is rejected', () => {
  throws(() => withFigures('# Speed\n', 'x'), /needs one/)
  throws(() => withFigures(`${begin}\n`, 'x'), /needs one/)
  throws(() => withFigures(`${begin}${end}${begin}${end}`, 'x'), /needs one/)
})
