/**
 * What happened in a run, line by line: a hash of all of it, the last lines of it, and counts by
 * kind. Must never change what it reports.
 */
import { createHash, type Hash } from 'node:crypto'

/** A line is made only when somebody needs it; the hash always does. */
export type TraceOptions = {
  /** Gets every line as it happens. */
  readonly onLine?: ((line: string) => void) | undefined
  readonly linesMax?: number
}

const chunkChars = 65_536

export class Trace {
  readonly #hash: Hash = createHash('sha256')
  readonly #onLine: ((line: string) => void) | undefined
  readonly #linesMax: number
  readonly #lines: string[] = []
  readonly #counts = new Map<string, number>()
  #unhashed = ''
  #digest: string | undefined

  constructor({ onLine, linesMax = 60 }: TraceOptions = {}) {
    this.#onLine = onLine
    this.#linesMax = linesMax
  }

  /** `kind` is counted; `text` may say more. */
  note(nowUs: number, kind: string, text = ''): void {
    const line = `${(nowUs / 1e6).toFixed(6)} ${kind} ${text}`
    this.#unhashed += line
    if (this.#unhashed.length > chunkChars) this.#flush()
    this.#lines.push(line)
    if (this.#lines.length > 2 * this.#linesMax) this.#lines.splice(0, this.#linesMax)
    this.#onLine?.(line)
  }

  /** A fault was injected, or something else whose number shows how hard the run was. */
  count(kind: string, times = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + times)
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  get lastLines(): readonly string[] {
    return this.#lines.slice(-this.#linesMax)
  }

  /** Of all lines, in hexadecimal; nothing may be noted afterwards. */
  digest(): string {
    this.#flush()
    this.#digest ??= this.#hash.digest('hex')
    return this.#digest
  }

  #flush(): void {
    this.#hash.update(this.#unhashed)
    this.#unhashed = ''
  }
}
