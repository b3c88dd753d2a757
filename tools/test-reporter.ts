// The spec reporter of node:test, with its closing counts as `# tests N`, `# pass N`, …, so that
// people, .ci/run and other tools read the same plain lines. Skipped tests are counted by what they
// lack: `# skipped 15: needs chromium: apt-get install …`.

import { Readable } from 'node:stream'
import { spec, type TestEvent } from 'node:test/reporters'

const countMark = /\u{2139} (?=(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) \d)/gu

/** A reporter for `node --test --test-reporter`: takes its events, gives the text to print. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skipped = new Map<string, number>()
  async function* counted(): AsyncGenerator<TestEvent> {
    for await (const event of source) {
      if (event.type === 'test:pass' && typeof event.data.skip === 'string') {
        skipped.set(event.data.skip, (skipped.get(event.data.skip) ?? 0) + 1)
      }
      yield event
    }
  }
  for await (const chunk of Readable.from(counted()).pipe(new spec())) {
    yield String(chunk).replace(countMark, '# ')
  }
  for (const [reason, count] of skipped) yield `# skipped ${count}: ${reason}\n`
}
