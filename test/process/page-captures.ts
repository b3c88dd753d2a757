/**
 * Makes the pictures of the status page for the documentation, of real daemons in a real browser:
 * `npm run page:captures`, as root, in a network of its own, so that the usual ports are free. Must
 * never show anything that a reader could not have.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { Browser, type PageOptions } from '../support/browser.ts'
import { indexedPng } from '../support/indexed-png.ts'
import { openShowroom } from '../support/screenshot-fixture.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const folder = join(import.meta.dirname, '..', '..', 'docs', 'images')

const looks: readonly (readonly [string, PageOptions])[] = [
  ['light', { width: 1_200, height: 760, theme: 'light' }],
  ['dark', { width: 1_200, height: 760, theme: 'dark' }],
  ['360', { width: 360, height: 760, theme: 'light', scale: 2 }],
]

const ends: (() => Promise<void>)[] = []
const scene = new TestEnvironment({ after: (end) => void ends.push(end) })
try {
  const browser = scene.use(await Browser.start())
  const showroom = await openShowroom(scene)
  mkdirSync(folder, { recursive: true })
  for (const [look, options] of looks) {
    const [{ page }, { page: reader }] = [await browser.open(options), await browser.open()]
    for (const [name, address] of Object.entries(showroom.views)) {
      const file = join(folder, `page-${name}-${look}.png`)
      const isLong = look !== '360'
      const bytes = indexedPng(await pixelsOf(reader, await shotOf(page, address, isLong)))
      writeFileSync(file, bytes)
      console.log(`${file}: ${bytes.length} bytes`)
    }
    await page.context().close()
  }
} finally {
  for (const end of ends) await end()
}

/** All of it, or what is seen first. */
async function shotOf(page: Page, address: string, isWhole: boolean): Promise<Buffer> {
  await page.goto(address)
  await page.locator('.as-of-live').waitFor()
  await page.locator('.note:has-text("Loading")').waitFor({ state: 'detached' })
  // Rates are there once somebody has looked on for a few seconds.
  await page.locator('.story, .rows td:has-text("/s")').first().waitFor()
  return page.screenshot({ animations: 'disabled', fullPage: isWhole })
}

/** The browser knows how to read a PNG; `page` is an empty one, whose policy allows it. */
async function pixelsOf(
  page: Page,
  png: Buffer,
): Promise<{ width: number; height: number; rgba: Uint8Array }> {
  const { width, height, base64 } = await page.evaluate(
    async (source) => {
      const image = new Image()
      image.src = source
      await image.decode()
      const canvas = new OffscreenCanvas(image.width, image.height)
      const context = canvas.getContext('2d')
      context?.drawImage(image, 0, 0)
      const pixels = context?.getImageData(0, 0, image.width, image.height).data ?? []
      let binary = ''
      for (const byte of pixels) binary += String.fromCharCode(byte)
      return { width: image.width, height: image.height, base64: btoa(binary) }
    },
    `data:image/png;base64,${png.toString('base64')}`,
  )
  return { width, height, rgba: Buffer.from(base64, 'base64') }
}
