/**
 * The largest datagram that the path carries, found by trying (the search of RFC 8899 in small): a
 * probe of the next size is sent when the last one has come, and the search rests at the first size
 * that fails. Takes the size back when large packets vanish. Must never offer a size above what the
 * peer or the system takes.
 */
import {
  blackHoleCooldownUs,
  blackHoleLosses,
  blackHoleSilentPtos,
  datagramBytesMin,
  datagramBytesNarrow,
  datagramSizes,
  mtuProbeTries,
  mtuReprobeUs,
} from './constants.ts'

type Search =
  /** The next larger size is tried; `lost` probes of it have failed. */
  | { readonly type: 'trying'; readonly lost: number }
  | { readonly type: 'waiting'; readonly lost: number; readonly probeBytes: number }
  | { readonly type: 'resting'; readonly untilUs: number }

export class MtuDiscovery {
  #datagramBytes: number
  #peerBytesMax: number
  // One less than the shortest that the system rejected since the search last rested.
  #systemBytesMax = Infinity
  #search: Search = { type: 'trying', lost: 0 }
  #largeLostInARow = 0
  #smallAckedSince = false

  /** `peerBytesMax`: the largest datagram that the peer takes. */
  constructor(peerBytesMax: number, firstBytes = datagramBytesMin) {
    this.#peerBytesMax = peerBytesMax
    this.#datagramBytes = firstBytes
  }

  /** The size of a full packet now. */
  get datagramBytes(): number {
    return this.#datagramBytes
  }

  /** Size of a probe to send now, if one is due. It stays due until `onProbeSent`. */
  nextProbe(nowUs: number): number | undefined {
    if (this.#search.type === 'resting' && nowUs >= this.#search.untilUs) {
      this.#search = { type: 'trying', lost: 0 }
      this.#systemBytesMax = Infinity
    }
    if (this.#search.type !== 'trying') return undefined
    const size = datagramSizes.find((bytes) => bytes > this.#datagramBytes)
    return size !== undefined && size <= this.#bytesMax() ? size : undefined
  }

  onProbeSent(bytes: number): void {
    if (this.#search.type !== 'trying') return
    this.#search = { type: 'waiting', lost: this.#search.lost, probeBytes: bytes }
  }

  /**
   * Also for a probe that had been taken for lost: its size passes. True if the size has changed.
   */
  onProbeAcked(bytes: number): boolean {
    if (this.#search.type !== 'resting') this.#search = { type: 'trying', lost: 0 }
    return this.#raiseTo(bytes)
  }

  onProbeLost(bytes: number, nowUs: number): void {
    if (this.#search.type !== 'waiting' || this.#search.probeBytes !== bytes) return
    const lost = this.#search.lost + 1
    this.#search =
      lost < mtuProbeTries
        ? { type: 'trying', lost }
        : { type: 'resting', untilUs: nowUs + mtuReprobeUs }
  }

  /**
   * Any packet but a probe, late ones too. True if the size has changed: a packet larger than what
   * is allowed now shows that there was no black hole, only silence.
   */
  onPacketAcked(bytes: number): boolean {
    if (bytes <= datagramBytesMin) {
      this.#smallAckedSince = true
      return false
    }
    this.#largeLostInARow = 0
    return this.#raiseTo(bytes)
  }

  /** Any packet but a probe. True if the size has changed. */
  onPacketLost(bytes: number, nowUs: number): boolean {
    if (bytes <= datagramBytesMin) return false
    if (this.#largeLostInARow === 0) this.#smallAckedSince = false
    this.#largeLostInARow++
    if (this.#largeLostInARow < blackHoleLosses || !this.#smallAckedSince) return false
    return this.#stepDown(nowUs)
  }

  /** So many probe timeouts in a row had no answer. True if the size has changed. */
  onSilentPtos(silentPtos: number, nowUs: number): boolean {
    return silentPtos >= blackHoleSilentPtos && this.#stepDown(nowUs)
  }

  /** The system would not send so many bytes. True if the size has changed. */
  onMessageTooLong(bytes: number, nowUs: number): boolean {
    this.#systemBytesMax = Math.min(this.#systemBytesMax, bytes - 1)
    this.#search = { type: 'resting', untilUs: nowUs + mtuReprobeUs }
    return this.#lowerToBound()
  }

  /** The peer has said what it takes. True if the size has changed. */
  onPeerBytesMax(bytesMax: number): boolean {
    this.#peerBytesMax = bytesMax
    return this.#lowerToBound()
  }

  #bytesMax(): number {
    const peerBytesMax = Math.max(datagramBytesMin, this.#peerBytesMax)
    return Math.max(datagramBytesNarrow, Math.min(peerBytesMax, this.#systemBytesMax))
  }

  #raiseTo(bytes: number): boolean {
    const size = largestSize(Math.min(bytes, this.#bytesMax()))
    if (size <= this.#datagramBytes) return false
    this.#datagramBytes = size
    return true
  }

  #lowerToBound(): boolean {
    const size = largestSize(this.#bytesMax())
    if (size >= this.#datagramBytes) return false
    this.#datagramBytes = size
    return true
  }

  #stepDown(nowUs: number): boolean {
    if (this.#datagramBytes <= datagramBytesMin) return false
    this.#datagramBytes = datagramBytesMin
    this.#search = { type: 'resting', untilUs: nowUs + blackHoleCooldownUs }
    this.#largeLostInARow = 0
    return true
  }
}

/** The largest of the sizes that are tried which is no longer than this. */
function largestSize(bytes: number): number {
  return datagramSizes.findLast((size) => size <= bytes) ?? datagramBytesNarrow
}
