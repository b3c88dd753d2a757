/**
 * `npm run fuzz`: hostile bytes for every decoder, whole nodes and a real store. Options:
 * `--datagrams N`, `--seed S`. A run that fails says how to have its last round again.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Counts } from './fuzz-cluster.ts'
import { fuzz } from './fuzz.ts'

const { values } = parseArgs({
  options: {
    datagrams: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})

const [datagrams = Number.NaN, seed = Number.NaN] = [values.datagrams, values.seed].map(Number)
if (!(datagrams > 0 && seed >= 0)) {
  console.error('Usage: npm run fuzz -- [--datagrams 10000000] [--seed 1]')
  process.exit(2)
}

const perRound = 50_000
const tellEveryRounds = 10
const startMs = performance.now()

function seconds(): number {
  return (performance.now() - startMs) / 1_000
}

function show(title: string, tally: Counts): void {
  console.log(`\n${title}`)
  for (const [name, number] of [...tally].toSorted(([, one], [, other]) => other - one)) {
    console.log(`${String(number).padStart(10)}  ${name}`)
  }
}

using ends = new DisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'tinymq-fuzz-'))
ends.defer(() => rmSync(directory, { recursive: true, force: true }))

const { nodes, decoders, store, grownBytes } = fuzz({
  directory,
  seed,
  datagrams,
  perRound,
  onProgress: ({ rounds, datagrams: done }, decoded) => {
    if (rounds % tellEveryRounds !== 0) return
    console.log(`${seconds().toFixed(0)} s: ${done} datagrams for nodes, ${decoded} for decoders`)
  },
})

show('What hostile datagrams were:', nodes.kinds)
show('What nodes took them for:', nodes.taken)
show('What unauthenticated peers were answered:', nodes.answered)
show('What nodes reported to their operators:', nodes.events)
show('What decoders said:', decoders.tally)
show(`What the store said to ${store.records} records:`, store.tally)
const grown = Number.isNaN(grownBytes) ? '' : `, heap grown by ${(grownBytes / 1e6).toFixed(1)} MB`
const all = nodes.datagrams + decoders.inputs
const rate = Math.round(all / seconds())
console.log(
  `\nSeed ${seed}: ${all} datagrams (${nodes.datagrams} for nodes in ${nodes.rounds} rounds and ` +
    `${nodes.virtualSeconds.toFixed(0)} virtual seconds, ${decoders.inputs} for decoders, of ` +
    `${decoders.shapes} shapes) in ${seconds().toFixed(0)} s, ${rate} a second. Slowest burst ` +
    `${nodes.slowestMs.toFixed(0)} ms${grown}. ` +
    'No throw, no loop, no leak, no amplification above three times; all rows arrived.',
)
