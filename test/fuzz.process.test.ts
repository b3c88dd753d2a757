/** A share of `npm run fuzz -- --datagrams 10000000`. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './fuzz/fuzz.ts'
import { scaled } from './harness/scale.ts'

const datagrams = scaled(200_000)

test('P11: hostile datagrams do not throw, loop, leak, amplify or hold rows up', (t) => {
  const { nodes, decoders } = fuzz({ seed: 1, datagrams, perRound: 20_000, onProgress: () => {} })
  t.diagnostic(
    `${nodes.datagrams} datagrams for nodes in ${nodes.rounds} rounds, ${decoders.inputs} for ` +
      `decoders; ${JSON.stringify(Object.fromEntries(nodes.taken))}`,
  )
  ok(nodes.datagrams + decoders.inputs >= datagrams)
})
