// The spec reporter of node:test, with its closing counts as `# tests N`, `# pass N`, …, so that
// people, .ci/run and other tools read the same plain lines.

import { spec } from 'node:test/reporters'

// The mark before each count, in whatever colour the terminal gives it.
const countMark = /^((?:\u001B\[\d+m)?)\u2139 /gm

export default async function* report(source) {
  for await (const chunk of source.compose(new spec())) {
    yield String(chunk).replace(countMark, '$1# ')
  }
}
