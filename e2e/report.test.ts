/** The report of the stories. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { appendFinding, type Finding, readFindings, renderFindings } from './report.ts'

const burst: Finding = {
  story: 'a burst',
  link: 'loss 30 %',
  messages: 10_000,
  seconds: 12.345,
  packets: 2_345,
  retransmissions: 700,
  dropped: 801,
  kernel: '6.1.176',
}

test('findings are written line by line and read as they were', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-report-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'report.jsonl')
  appendFinding(file, burst)
  appendFinding(file, { ...burst, story: 'another' })
  deepEqual(readFindings(file), [burst, { ...burst, story: 'another' }])
})

test('the table has a line for each, with numbers to the right', () => {
  const problem = 'Waited 90 s.\nFor nothing.'
  const table = renderFindings([
    burst,
    { ...burst, story: 'partition and heal', messages: 5, problem },
  ])
  const [head = '', dashes = '', first = '', second = ''] = table.split('\n')
  const width = head.length
  deepEqual([dashes.length, first.length, second.length], [width, width, width])
  match(head, /^\| story +\| link +\| messages \| seconds \| packets \| sent again \| netem/)
  match(dashes, /^\| -+ \| -+ \| -+: \| -+: \| -+: \| -+: \| -+: \| -+ \| -+ \|$/)
  const numbers = /\| +10,000 \| +12\.3 \| +2,345 \| +700 \| +801 \| 6\.1\.176 \| ok +\|$/
  match(first, numbers)
  equal(second.indexOf('5'), head.indexOf('messages') + 'messages'.length - 1)
  match(second, /\| Waited 90 s\. \|$/)
})
