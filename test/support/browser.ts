/**
 * A headless Chromium, and pages in it that write down everything that a browser holds against
 * them. Must never reach the network: it sees only what the tests serve on loopback.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser as Chromium, type Page } from 'playwright-core'
import type axe from 'axe-core'
import { testToken } from './read-page-token.ts'
import { pathOf } from './needs.ts'

const args = [
  // Tests run as root, in containers too.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** Nothing that a page does by itself may take longer. */
const waitMs = 10_000

const axeSource = readFileSync(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
)
/** WCAG 2.2 AA, and what is good practice beyond it. */
const axeTags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
/** Far fewer than it checks in any view: what makes it look at nothing does not pass for good. */
const axeChecksMin = 20

export type PageOptions = {
  readonly width?: number
  readonly height?: number
  readonly theme?: 'light' | 'dark'
  /** Device pixels to a CSS pixel. */
  readonly scale?: number
  /** Whether it has been given the token of the tests. */
  readonly hasToken?: boolean
}

/** A page and what was held against it: errors, rejections of its Content-Security-Policy. */
export type WatchedPage = { readonly page: Page; readonly complaints: string[] }

export class Browser implements AsyncDisposable {
  readonly #chromium: Chromium

  private constructor(browser: Chromium) {
    this.#chromium = browser
  }

  static async start(): Promise<Browser> {
    return new Browser(await chromium.launch({ executablePath: pathOf('chromium'), args }))
  }

  /** A page with storage of its own, at nowhere yet. */
  async open(options: PageOptions = {}): Promise<WatchedPage> {
    const { width = 1_280, height = 800, theme = 'light', scale = 1, hasToken = true } = options
    const context = await this.#chromium.newContext({
      viewport: { width, height },
      colorScheme: theme,
      deviceScaleFactor: scale,
      reducedMotion: 'reduce',
    })
    const page = await context.newPage()
    if (hasToken) {
      await page.addInitScript((token) => localStorage.setItem('tinymq-token', token), testToken)
    }
    page.setDefaultTimeout(waitMs)
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('console', (line) => {
      if (line.type() === 'error' || line.type() === 'warning') complaints.push(line.text())
    })
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
        console.error(`rejected by the policy: ${violatedDirective} ${blockedURI}`)
      })
    })
    return { page, complaints }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chromium.close()
  }
}

/** What axe-core finds wrong with the page as it is now, a line each. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(axeSource)
  const { violations, passes } = await page.evaluate(
    async (tags) => (globalThis as unknown as { axe: typeof axe }).axe.run({ runOnly: tags }),
    axeTags,
  )
  if (passes.length < axeChecksMin) return [`axe checked ${passes.length} rules only`]
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary ?? ''}`),
  )
}

/** By how many CSS pixels the page is wider than the window. */
export async function overflowOf(page: Page): Promise<number> {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return scrollWidth - clientWidth
  })
}
