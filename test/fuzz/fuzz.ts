/**
 * So many hostile inputs from one seed: a fifth for the decoders alone, the rest as datagrams for
 * whole nodes, in rounds.
 */
import { ok } from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { DecoderFuzz } from './decoder-fuzz.ts'
import { emptyReport, fuzzNodes, type NodeFuzzReport } from './node-fuzz.ts'

export type FuzzOptions = {
  readonly seed: number
  readonly datagrams: number
  /** In one round; fewer rounds take less time, and each begins with little on the wire. */
  readonly perRound: number
  readonly onProgress: (report: NodeFuzzReport, decoded: number) => void
}

export type FuzzReport = {
  readonly nodes: NodeFuzzReport
  readonly decoders: DecoderFuzz
  /** Of the heap, from the sixth round to the last; NaN when there were fewer. */
  readonly grownBytes: number
}

const decodersShare = 0.2
/** Until then all code is compiled and all caches are as large as they get. */
const settledAfterRounds = 5
const grownBytesMax = 30_000_000

/** @throws Error with the seed of the round that failed. */
export function fuzz(options: FuzzOptions): FuzzReport {
  const { seed, datagrams, perRound, onProgress } = options
  const nodes = emptyReport()
  const decoders = new DecoderFuzz(seed)
  const forNodes = datagrams * (1 - decodersShare)
  const rounds = Math.ceil(forNodes / perRound)
  let settledBytes = Number.NaN
  for (let round = 0; round < rounds; round++) {
    const left = Math.min(perRound, forNodes - nodes.datagrams)
    if (left <= 0) break
    try {
      fuzzNodes(seed + round, left, nodes)
      decoders.run(Math.ceil((datagrams * decodersShare) / rounds))
    } catch (cause) {
      const again = `npm run fuzz -- --seed ${seed + round} --datagrams ${perRound}`
      throw new Error(`Round ${round} of seed ${seed} failed; again: ${again}`, { cause })
    }
    if (round === settledAfterRounds) settledBytes = heapBytes()
    onProgress(nodes, decoders.inputs)
  }
  const grownBytes = heapBytes() - settledBytes
  ok(!(grownBytes > grownBytesMax), `The heap has grown by ${grownBytes} bytes.`)
  return { nodes, decoders, grownBytes }
}

/** What is in use when all that is not has been collected. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}
