/**
 * How far the write-ahead log of a database goes, read from the index that SQLite keeps in `-shm`
 * (sqlite.org/walformat.html, "WAL-Index File Format"). Must never write there, and never close the
 * file while a connection is open: that would drop SQLite's locks.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { endianness } from 'node:os'

/** `frames` of the log are committed, of which `backfilled` were copied into the database. */
export type WalMark = {
  /** Another one each time that the log begins again. */
  readonly salt: string
  readonly frames: number
  readonly backfilled: number
  readonly pageBytes: number
}

const headerBytes = 136
const isLittle = endianness() === 'LE'

export class WalIndex {
  readonly #file: number
  readonly #bytes = Buffer.alloc(headerBytes)

  /** @param path of the database; a connection to it must be open, and have read something. */
  constructor(path: string) {
    this.#file = openSync(`${path}-shm`, 'r')
  }

  mark(): WalMark {
    readSync(this.#file, this.#bytes, 0, headerBytes, 0)
    const pageBytes = isLittle ? this.#bytes.readUInt16LE(14) : this.#bytes.readUInt16BE(14)
    return {
      salt: this.#bytes.toString('hex', 32, 40),
      frames: this.#word(16),
      backfilled: this.#word(96),
      // 65,536 does not fit into 16 bits.
      pageBytes: pageBytes === 1 ? 65_536 : pageBytes,
    }
  }

  /** After the last connection. */
  close(): void {
    closeSync(this.#file)
  }

  #word(at: number): number {
    return isLittle ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at)
  }
}
