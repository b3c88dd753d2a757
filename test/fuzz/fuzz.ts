/**
 * So many hostile inputs from one seed: a fifth for the decoders alone, the rest as datagrams for
 * whole nodes, in rounds; and on top records for a real store, which takes a thousand times longer.
 */
import { ok } from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { DecoderFuzz } from './decoder-fuzz.ts'
import { emptyReport, fuzzNodes, type NodeFuzzReport } from './node-fuzz.ts'
import { StoreFuzz } from './store-fuzz.ts'

type FuzzOptions = {
  readonly seed: number
  /** For the files of a store; the caller's to remove. */
  readonly directory: string
  readonly datagrams: number
  /** In one round; fewer rounds take less time, and each begins with little on the wire. */
  readonly perRound: number
  readonly onProgress: (report: NodeFuzzReport, decoded: number) => void
}

type FuzzReport = {
  readonly nodes: NodeFuzzReport
  readonly decoders: DecoderFuzz
  readonly store: StoreFuzz
  /** Of the heap, from the sixth round to the last; NaN when there were fewer. */
  readonly grownBytes: number
}

const decodersShare = 0.2
const recordsPerRound = 300
/** Until then all code is compiled and all caches are as large as they get. */
const settledAfterRounds = 5
const grownBytesMax = 30_000_000

/** @throws Error with the seed of the round that failed. */
export function fuzz(options: FuzzOptions): FuzzReport {
  const { seed, datagrams, perRound, onProgress } = options
  const nodes = emptyReport()
  const decoders = new DecoderFuzz(seed)
  const store = new StoreFuzz(options.directory, seed, new SeededRandom(seed))
  const forNodes = datagrams * (1 - decodersShare)
  const rounds = Math.ceil(forNodes / perRound)
  let settledBytes = Number.NaN
  for (let round = 0; round < rounds; round++) {
    const left = Math.min(perRound, forNodes - nodes.datagrams)
    if (left <= 0) break
    try {
      fuzzNodes(seed + round, left, nodes)
      decoders.run(Math.ceil((datagrams * decodersShare) / rounds))
      store.run(recordsPerRound * (round + 1))
    } catch (cause) {
      const again = `npm run fuzz -- --seed ${seed + round} --datagrams ${perRound}`
      throw new Error(`Round ${round} of seed ${seed} failed; again: ${again}`, { cause })
    }
    if (round === settledAfterRounds) settledBytes = heapBytes()
    onProgress(nodes, decoders.inputs)
  }
  store.end()
  const grownBytes = heapBytes() - settledBytes
  ok(!(grownBytes > grownBytesMax), `The heap has grown by ${grownBytes} bytes.`)
  return { nodes, decoders, store, grownBytes }
}

/** What is in use when all that is not has been collected. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}
