// The spec reporter of node:test, with its closing counts as `# tests N`, `# pass N`, …, so that
// people, .ci/run and other tools read the same plain lines.

import { Readable } from 'node:stream'
import { spec, type TestEvent } from 'node:test/reporters'

const countMark = /\u{2139} (?=(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) \d)/gu

/** A reporter for `node --test --test-reporter`: takes its events, gives the text to print. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const chunk of Readable.from(source).pipe(new spec())) {
    yield String(chunk).replace(countMark, '# ')
  }
}
