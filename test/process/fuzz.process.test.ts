/** A share of `npm run fuzz -- --datagrams 10000000`. */
import { ok } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fuzz } from '../fuzz/fuzz.ts'
import { scaled } from '../support/scale.ts'

const datagrams = scaled(200_000)

test('P11: hostile datagrams do not throw, loop, leak, amplify or hold rows up', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-fuzz-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const options = { seed: 1, directory, datagrams, perRound: 20_000, onProgress: () => {} }
  const { nodes, decoders, store } = fuzz(options)
  const taken = JSON.stringify(Object.fromEntries(nodes.taken))
  t.diagnostic(`${nodes.datagrams} datagrams for nodes in ${nodes.rounds} rounds: ${taken}`)
  t.diagnostic(`${decoders.inputs} for decoders, ${store.records} records for a store`)
  ok(nodes.datagrams + decoders.inputs >= datagrams)
})
