/**
 * PNG files with a palette: a third of the size of what a browser writes, for pictures of pages,
 * which have few colours. Must never be used for photographs.
 */
import { crc32, deflateSync } from 'node:zlib'

/** Red, green, blue and alpha of each pixel, a byte each, line by line. */
type Pixels = { readonly width: number; readonly height: number; readonly rgba: Uint8Array }

const colorsMax = 256

/** The picture in its 256 most frequent colours; every other one becomes the nearest of them. */
export function indexedPng({ width, height, rgba }: Pixels): Buffer {
  const counts = new Map<number, number>()
  for (let at = 0; at < rgba.length; at += 4) {
    const color = colorAt(rgba, at)
    counts.set(color, (counts.get(color) ?? 0) + 1)
  }
  const byCount = [...counts].toSorted(([, a], [, b]) => b - a).map(([color]) => color)
  const palette = byCount.slice(0, colorsMax)
  const indexes = new Map(byCount.map((color) => [color, nearestOf(palette, color)]))

  // Each line begins with the number of its filter: none, which is best for indexes.
  const lines = Buffer.alloc((width + 1) * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const color = colorAt(rgba, (y * width + x) * 4)
      lines[y * (width + 1) + 1 + x] = indexes.get(color) ?? 0
    }
  }
  return Buffer.concat([
    Buffer.from('\u0089PNG\r\n\u001a\n', 'latin1'),
    chunk('IHDR', header(width, height)),
    chunk('PLTE', Buffer.from(palette.flatMap((color) => parts(color)))),
    chunk('IDAT', deflateSync(lines, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

const colorAt = (rgba: Uint8Array, at: number): number =>
  ((rgba[at] ?? 0) << 16) | ((rgba[at + 1] ?? 0) << 8) | (rgba[at + 2] ?? 0)

const parts = (color: number): [number, number, number] => [
  color >> 16,
  (color >> 8) & 255,
  color & 255,
]

function nearestOf(palette: readonly number[], color: number): number {
  const [red, green, blue] = parts(color)
  let nearest = 0
  let least = Infinity
  palette.forEach((candidate, index) => {
    const [r, g, b] = parts(candidate)
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2
    if (distance < least) [nearest, least] = [index, distance]
  })
  return nearest
}

/** Eight bits to a pixel, an index into the palette. */
function header(width: number, height: number): Buffer {
  const bytes = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0])
  bytes.writeUInt32BE(width, 0)
  bytes.writeUInt32BE(height, 4)
  return bytes
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
