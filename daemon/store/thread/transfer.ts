/**
 * Byte arrays from thread to thread without a copy. Must never move a buffer that somebody else may
 * still look at.
 */

/** Smaller ones are copied faster than they are moved. */
const moveBytesMin = 1_024

type Movable<Item> = { readonly items: Item[]; readonly buffers: ArrayBuffer[] }

/**
 * The items for `postMessage`, and the buffers that move with them. `bytes` of an item that fills
 * its buffer is the item's own and moves; a piece of a larger buffer is copied out of it, because
 * all of the buffer would be sent else.
 */
export function withTransferList<Item extends object>(items: readonly Item[]): Movable<Item> {
  const buffers: ArrayBuffer[] = []
  const moved = items.map((item) => {
    if (!('bytes' in item && item.bytes instanceof Uint8Array)) return item
    const bytes = owned(item.bytes)
    if (bytes.length >= moveBytesMin) buffers.push(bytes.buffer)
    return bytes === item.bytes ? item : { ...item, bytes }
  })
  return { items: moved, buffers }
}

function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return isWhole(bytes) ? bytes : new Uint8Array(bytes)
}

function isWhole(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.byteLength
}
