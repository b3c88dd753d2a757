/**
 * Lines of a stream of bytes. A line ends at LF and nowhere else: not at a CR, and not at what
 * Unicode calls a line separator. Must never look at bytes as text.
 */

export type Line = {
  /** Without what ends it. */
  readonly bytes: Buffer
  /** Counts from 1. */
  readonly number: number
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * The lines, the last one also without an end of its own.
 * @param dropsCr CR LF ends a line too.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  dropsCr: boolean,
): AsyncGenerator<Line> {
  let begun: Buffer[] = []
  let number = 0
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let from = 0
    for (let at = bytes.indexOf(lineFeed); at !== -1; at = bytes.indexOf(lineFeed, from)) {
      const line = Buffer.concat([...begun, bytes.subarray(from, at)])
      begun = []
      from = at + 1
      const isDos = dropsCr && line.at(-1) === carriageReturn
      yield { bytes: isDos ? line.subarray(0, -1) : line, number: ++number }
    }
    if (from < bytes.length) begun.push(bytes.subarray(from))
  }
  if (begun.length > 0) yield { bytes: Buffer.concat(begun), number: ++number }
}

/** The same, so many at a time, or fewer when they are long. */
export async function* batchesOf(
  lines: AsyncIterable<Line>,
  linesMax: number,
  bytesMax: number,
): AsyncGenerator<Line[]> {
  let [batch, bytes]: [Line[], number] = [[], 0]
  for await (const line of lines) {
    batch.push(line)
    bytes += line.bytes.length
    if (batch.length < linesMax && bytes < bytesMax) continue
    yield batch
    ;[batch, bytes] = [[], 0]
  }
  if (batch.length > 0) yield batch
}
