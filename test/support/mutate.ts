/** Bytes that are nearly right: what a decoder must survive. Must never be used outside tests. */
import * as fc from 'fast-check'

/** One of `sound` with some bytes replaced, cut off or duplicated. */
export function mutated(sound: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const places = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 })
  const cuts = fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('keep', 'cut', 'double'))
  return fc.tuple(sound, places, cuts).map(([bytes, replaced, [from, to, how]]) => {
    const copy = bytes.slice()
    for (const [place, byte] of replaced) {
      if (copy.length > 0) copy[place % copy.length] = byte
    }
    const start = from % (copy.length + 1)
    const end = Math.min(copy.length, start + (to % (copy.length + 1)))
    if (how === 'keep') return copy
    const middle = how === 'cut' ? [] : [...copy.subarray(start, end), ...copy.subarray(start, end)]
    return Uint8Array.of(...copy.subarray(0, start), ...middle, ...copy.subarray(end))
  })
}
