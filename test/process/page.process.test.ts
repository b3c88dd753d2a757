/**
 * The status page as operators see it: in a real browser, served by real daemons with traffic
 * between them, one of their peers dead, and messages that mean harm among the rows.
 */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { after, before, test as testOf, type TestContext } from 'node:test'
import type { Locator, Page } from 'playwright-core'
import {
  accessibilityProblems,
  Browser,
  overflowOf,
  type PageOptions,
  type WatchedPage,
} from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { needs } from '../support/needs.ts'
import { insertNumbered } from '../support/numbered.ts'
import { hostile, openOffice, type PageFixture } from '../support/page-fixture.ts'
import { giveTestToken, testToken } from '../support/read-page-token.ts'
import { PrefixProxy } from '../support/prefix-proxy.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { until } from '../support/until.ts'

/** Far more than a scan passes in a tenth of a second. */
const longRows = 100_000

const skip = needs('chromium')
const test = (name: string, run: (t: TestContext) => Promise<void>): void =>
  void testOf(name, { skip }, run)

let browser: Browser
let office: PageFixture

// What `before` gives to `after` would end with `before`.
const ends: (() => Promise<void>)[] = []
after(async () => {
  for (const end of ends) await end()
})

before(async () => {
  if (skip !== false) return
  const scene = new TestEnvironment({ after: (end) => void ends.push(end) })
  browser = scene.use(await Browser.start())
  office = await openOffice(scene)
})

/** Opens a view, and when the test is over sees that nothing was held against the page. */
async function visit(address: string, options: PageOptions = {}): Promise<WatchedPage> {
  const watched = await browser.open(options)
  await watched.page.goto(address)
  await live(watched.page)
  return watched
}

async function live(page: Page): Promise<void> {
  await page.locator('.as-of-live').waitFor()
}

async function finish({ page, complaints }: WatchedPage): Promise<void> {
  await page.context().close()
  deepEqual(complaints, [])
}

const heading = (page: Page, name: string | RegExp): Locator =>
  page.getByRole('heading', { name }).first()

const tile = (page: Page, label: string): Locator =>
  page.locator('.tile', { has: page.getByText(label, { exact: true }) }).locator('.tile-value')

/** The first text of it that matches. */
async function text(locator: Locator, expected: RegExp): Promise<string> {
  const what = `${expected} in ${String(locator)}`
  return until({ what, withinMs: 15_000 }, async () => {
    const shown = await locator.first().textContent()
    return shown !== null && expected.test(shown) ? shown : false
  })
}

test('the first screen says what is wrong, where, since when and what to do', async () => {
  const watched = await visit(office.pageOfA)
  const { page } = watched
  await text(page.locator('.verdict'), /stuck since \d\d:\d\d:\d\d, for/)
  await text(page.locator('.findings'), /→|\w/)
  const row = page.locator('.rows tbody tr').first()
  match(await text(row, /stuck/), new RegExp(`127\\.0\\.0\\.1:${office.deadPort}`))
  await text(row, /TINYMQ_NO_ANSWER/)
  // The other one is well, and measured.
  const alive = page.locator('.rows tbody tr', { hasText: `:${office.b.port}` }).first()
  await text(alive, /\d ms/)
  await text(alive, /\d %/)
  await text(tile(page, 'Parked'), /^1$/)
  await text(tile(page, 'Oldest row'), /\d+ (?:s|min)/)
  match(await page.title(), /^(?:✕|!) Overview · MachineA · tinymq$/)
  await finish(watched)
})

test('without its token the page shows nothing and says how to open it', async () => {
  const { page } = await browser.open({ hasToken: false })
  await page.goto(office.pageOfA)
  await page
    .getByText(/tinymq ui opens the page/)
    .first()
    .waitFor()
  equal(await page.locator('.rows tbody tr').count(), 0)
  // The address that `tinymq ui` prints, typed over the one of the open page.
  await page.goto(`${office.pageOfA}#token=${testToken}`)
  await live(page)
  await page.goto(`${office.pageOfA}#/outbox`)
  await page.locator('.rows tbody tr').first().waitFor()
  ok(!page.url().includes('token'))
  await page.context().close()
})

test('numbers and plots move by themselves', async () => {
  const watched = await visit(office.pageOfA)
  const { page } = watched
  await text(tile(page, 'Sent'), /^[1-9][\d,]*(?:\.\d)?\/s$/)
  const clock = await page.locator('.as-of-live').textContent()
  await until({ what: 'the next second', withinMs: 5_000 }, async () => {
    return (await page.locator('.as-of-live').textContent()) !== clock
  })
  const plot = page.locator('.plot', { has: heading(page, 'Backlog') })
  const drawn = async (): Promise<string> =>
    plot.locator('canvas').evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL())
  const first = await drawn()
  await until({ what: 'the plot to move', withinMs: 5_000 }, async () => (await drawn()) !== first)
  match(
    (await plot.locator('.plot-canvas').getAttribute('aria-label')) ?? '',
    /^Backlog, last 10 min: rows in the outbox from \d[\d,]* to \d[\d,]*, now \d/,
  )
  await plot.getByText('Numbers').click()
  ok((await plot.locator('tbody tr').count()) > 1)
  for (const span of ['1 h', '24 h', '10 min']) {
    await page.getByRole('radio', { name: span, exact: true }).check()
    await page.locator(`.plot-canvas[aria-label*="last ${span}:"]`).first().waitFor()
  }
  await finish(watched)
})

const views = ['', '#/outbox', '#/inbox', '#/inbox?dead=1', '#/peers', '#/health', '#/nowhere']

// Each theme, each width: what a rule finds in one it finds in the other too.
for (const [theme, width] of [
  ['light', 1_280],
  ['dark', 360],
] as const) {
  test(`every view is accessible and fits: ${theme}, ${width} px`, async () => {
    const watched = await visit(office.pageOfA, { theme, width })
    const { page } = watched
    const [outboxId, inboxId] = [
      await office.a.sql("SELECT id FROM mqout WHERE token = 'binary';"),
      await office.b.sql('SELECT id FROM mqin WHERE headers IS NOT NULL LIMIT 1;'),
    ]
    const addresses = [
      ...views.map((view) => office.pageOfA + view),
      `${office.pageOfA}#/outbox/${outboxId}`,
      `${office.pageOfB}#/inbox/${inboxId}`,
      office.pageOfB,
    ]
    for (const address of addresses) {
      await page.goto(address)
      await live(page)
      await page.locator('h1').first().waitFor({ state: 'attached' })
      const waiting = page.locator('.more:has-text("Reading"), .note:has-text("Loading")')
      await waiting.waitFor({ state: 'detached' })
      equal(await overflowOf(page), 0, `${address} is wider than ${width} px`)
      deepEqual(await accessibilityProblems(page), [], address)
      // A window of 1,280 pixels, enlarged four times.
      await page.setViewportSize({ width: 320, height: 800 })
      equal(await overflowOf(page), 0, `${address} is wider than 320 px`)
      await page.setViewportSize({ width, height: 800 })
    }
    await finish(watched)
  })
}

const search = async (page: Page, words: string): Promise<void> =>
  page.getByRole('searchbox').fill(words)

const idsShown = async (page: Page): Promise<string[]> =>
  page.locator('.rows tbody th').allTextContents()

/** Resolves when the list shows so many rows. */
async function rowsShown(page: Page, count: number): Promise<void> {
  await until({ what: `${count} rows`, withinMs: 10_000 }, async () => {
    return (await page.locator('.rows tbody tr').count()) === count
  })
}

test('a search finds rows by id, host, token, text and state, and can be linked to', async () => {
  const watched = await visit(`${office.pageOfA}#/outbox`)
  const { page } = watched
  const id = await office.a.sql("SELECT id FROM mqout WHERE data = 'order 77';")
  await page.getByRole('combobox', { name: 'Search in' }).selectOption('text')
  await search(page, 'order 77')
  await rowsShown(page, 1)
  deepEqual(await idsShown(page), [id])
  ok(page.url().endsWith('#/outbox?search=order+77&by=text'), page.url())

  await page.getByRole('combobox', { name: 'Search in' }).selectOption('id')
  await search(page, id)
  await rowsShown(page, 1)
  await page.getByRole('combobox', { name: 'Search in' }).selectOption('token')
  await search(page, 'binary')
  await rowsShown(page, 1)
  await search(page, '')
  await page.getByRole('combobox', { name: 'Search in' }).selectOption('any')
  await page.getByRole('combobox', { name: 'State' }).selectOption('parked')
  await rowsShown(page, 1)
  await text(page.locator('.rows'), /TINYMQ_/)

  // The link gives the same to somebody else.
  await page.goto(`${office.pageOfA}#/outbox?search=order+77&by=text`)
  await rowsShown(page, 1)
  await search(page, 'nothing has these words')
  await page.getByText('Nothing like that is here.').waitFor()
  await finish(watched)
})

test('older rows come by the page, none twice and none left out', async () => {
  const watched = await visit(`${office.pageOfA}#/outbox?search=orders&by=token`)
  const { page } = watched
  for (const count of [50, 100, 120]) {
    await rowsShown(page, count)
    if (count < 120) await page.getByRole('button', { name: 'Older rows' }).click()
  }
  await page.getByText('That is all.').waitFor()
  const ids = await idsShown(page)
  equal(new Set(ids).size, 120)
  deepEqual(
    ids,
    ids.toSorted((a, b) => Number(b) - Number(a)),
  )
  await finish(watched)
})

test('what a sender puts into a token or a text is shown, and does nothing', async () => {
  const watched = await visit(`${office.pageOfB}#/inbox`, { width: 360 })
  const { page } = watched
  for (const [name, value] of Object.entries(hostile)) {
    const id = await office.b.sql(
      `SELECT id FROM mqin WHERE token = ${sqlText(value)} ORDER BY id LIMIT 1;`,
    )
    await page.goto(`${office.pageOfB}#/inbox/${id}`)
    await heading(page, `Row ${id}`).waitFor()
    await page.locator('.code-block').first().waitFor()
    equal(await overflowOf(page), 0, name)
    equal(await page.locator('main img, main script').count(), 0, name)
    if (name === 'turned') await text(page.locator('.facts'), /live⟨202E⟩gnp\.exe⟨2066⟩/)
    if (name === 'markup') await text(page.locator('.facts'), /<img src=x onerror=alert\(1\)>/)
    if (name === 'emoji') await text(page.locator('.facts'), /👩‍👩‍👧 🎉/)
  }
  const words = encodeURIComponent(hostile.markup)
  await page.goto(`${office.pageOfB}#/inbox?search=${words}&by=token`)
  await rowsShown(page, 1)
  await page.goto(`${office.pageOfB}#/<img src=x onerror=alert(3)>`)
  await page.getByText('There is no such view.').waitFor()
  await finish(watched)
})

const sqlText = (value: string): string => `CAST(X'${Buffer.from(value).toString('hex')}' AS TEXT)`

test('a message shows its story, its headers and its data, binary too', async () => {
  const watched = await visit(`${office.pageOfA}#/outbox`)
  const { page } = watched
  const binary = await office.a.sql("SELECT id FROM mqout WHERE token = 'binary';")
  await page.goto(`${office.pageOfA}#/outbox/${binary}`)
  await text(page.locator('.story'), /[Ii]nserted.*\d\d:\d\d:\d\d/)
  await text(page.locator('.code-block'), /"content-type": "text\/plain"/)
  await text(page.getByRole('region', { name: /^Binary data, 300 B$/ }), /^00000000 00 01 02/)

  const parked = await office.a.sql("SELECT id FROM mqout WHERE token = 'rejected';")
  await page.goto(`${office.pageOfA}#/outbox/${parked}`)
  await text(page.locator('.callout'), /TINYMQ_|large/)
  await text(page.getByRole('region', { name: /^Text, the first 4 KiB of 195 KiB$/ }), /^R{4096}$/)
  await text(page.getByRole('region', { name: 'All of it, on the machine' }), /WHERE id = \d+;/)

  await page.goto(`${office.pageOfB}#/inbox?dead=1`)
  await page.locator('.rows a').first().click()
  await text(page.locator('.callout'), /sku is not a string/)
  await page.goBack()
  await heading(page, 'Inbox').waitFor()

  await page.goto(`${office.pageOfA}#/outbox/999999999`)
  await text(page.locator('.note'), /TINYMQ_/)
  await page.context().close()
  // The browser says of an answer that is not there that it is not there.
  ok(
    watched.complaints.every((line) => line.includes('404')),
    watched.complaints.join('\n'),
  )
})

test('rows are cancelled, retried and redriven where enabled, after a question', async () => {
  const watched = await visit(`${office.pageOfA}#/outbox`)
  const { page } = watched
  const [id, other] = (
    await office.a.sql("SELECT id FROM mqout WHERE data IN ('order 5', 'order 6');")
  ).split('\n')
  await page.goto(`${office.pageOfA}#/outbox/${id}`)
  const isThere = async (): Promise<string> =>
    office.a.sql(`SELECT count(*) FROM mqout WHERE id = ${id};`)

  await page.getByRole('button', { name: 'Stop sending' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  deepEqual(await accessibilityProblems(page), [])
  // On a telephone nothing of the question is cut off.
  for (const width of [360, 320]) {
    await page.setViewportSize({ width, height: 800 })
    const cut = await dialog.evaluate((top) =>
      [top, ...top.querySelectorAll('*')].filter((part) => part.scrollWidth > part.clientWidth + 1),
    )
    equal(cut.length, 0, `${cut.length} parts are cut off at ${width} px`)
  }
  await page.setViewportSize({ width: 1_280, height: 800 })
  await dialog.getByRole('button', { name: 'Change nothing' }).click()
  await dialog.waitFor({ state: 'detached' })
  equal(await isThere(), '1')

  await page.getByRole('button', { name: 'Stop sending' }).click()
  await dialog.getByRole('button', { name: 'Stop sending' }).click()
  await text(dialog.locator('.said-ok'), /\w/)
  equal(await isThere(), '0')
  await page.keyboard.press('Enter')
  await text(page.locator('.note'), /What you see is what was there last/)

  await page.goto(`${office.pageOfA}#/outbox/${other}`)
  await page.getByRole('button', { name: 'Retry now' }).click()
  await dialog.getByRole('button', { name: 'Retry now' }).click()
  await text(dialog.locator('.said-ok'), /\w/)

  await office.a.sql(`INSERT INTO mqdead (id, host, port, token, arrived_at, died_at, error, data)
    VALUES (7777, 'MachineB', 9000, 'late', 1, 2, 'no such table', 'again');`)
  await page.goto(`${office.pageOfA}#/inbox/7777`)
  await page.getByRole('button', { name: 'Redrive' }).click()
  await dialog.getByRole('button', { name: 'Redrive' }).click()
  await text(dialog.locator('.said-ok'), /in the inbox again/)
  equal(await office.a.sql("SELECT data FROM mqin WHERE token = 'late';"), 'again')
  await page.context().close()
  ok(
    watched.complaints.every((line) => line.includes('404')),
    watched.complaints.join('\n'),
  )
})

test('a page that may not act offers nothing to do', async () => {
  const watched = await visit(`${office.pageOfB}#/inbox?dead=1`)
  const { page } = watched
  await page.locator('.rows a').first().click()
  await heading(page, /^Row \d+$/).waitFor()
  await text(page.locator('.foot'), /read-only/)
  equal(await page.getByRole('button', { name: /Redrive|Stop|Retry/ }).count(), 0)
  await finish(watched)
})

test('the keyboard alone reaches everything', async () => {
  const watched = await visit(office.pageOfA)
  const { page } = watched
  await page.locator('.rows a').first().waitFor()
  const press = async (key: string, times = 1): Promise<void> => {
    for (let count = 0; count < times; count++) await page.keyboard.press(key)
  }
  const focused = async (): Promise<string> =>
    page.evaluate(() => document.activeElement?.textContent ?? '')

  await press('Tab')
  equal(await focused(), 'Skip to the content')
  await press('Enter')
  equal(await page.evaluate(() => document.activeElement?.id), 'content')

  // Past the name and the health to the views.
  await page.goto(`${office.pageOfA}#/health`)
  await page.reload()
  await live(page)
  await press('Tab', 3)
  const tabs: string[] = []
  for (let count = 0; count < 5; count++) {
    await press('Tab')
    tabs.push(await focused())
    const outline = await page.evaluate(() => {
      return getComputedStyle(document.activeElement ?? document.body).outlineStyle
    })
    notEqual(outline, 'none', 'the focus is seen')
  }
  deepEqual(tabs, ['Overview', 'Outbox', 'Inbox', 'Peers', 'Health'])
  // What is in the inbox stays there; a row of the outbox may be gone before one looks at it.
  await press('Shift+Tab', 2)
  await press('Enter')
  await heading(page, 'Inbox').waitFor()
  // A new view begins with the focus in it: the button, the search, its choices, the first row.
  await rowsFocused(page, press)
  const id = await focused()
  await press('Enter')
  await heading(page, `Row ${id}`).waitFor()
  await page.goBack()
  await heading(page, 'Inbox').waitFor()
  await finish(watched)
})

async function rowsFocused(
  page: Page,
  press: (key: string, times?: number) => Promise<void>,
): Promise<void> {
  await page.locator('.rows a').first().waitFor()
  await until({ what: 'the focus in the table', withinMs: 10_000 }, async () => {
    await press('Tab')
    return page.evaluate(() => document.activeElement?.closest('.rows') !== null)
  })
}

test('it works under any path prefix', async (t) => {
  const proxy = new PrefixProxy('/ops/node-7/tinymq', office.pageOfA)
  t.after(async () => proxy[Symbol.asyncDispose]())
  const watched = await visit(await proxy.listen())
  const { page } = watched
  for (const name of ['Outbox', 'Inbox', 'Peers', 'Health', 'Overview']) {
    await page.getByRole('link', { name, exact: true }).click()
    await page.locator('h1', { hasText: name }).waitFor({ state: 'attached' })
  }
  await text(tile(page, 'Backlog'), /\d/)
  await finish(watched)
})

test('a theme that is chosen stays, and the system decides otherwise', async () => {
  const watched = await visit(office.pageOfA, { theme: 'dark' })
  const { page } = watched
  const ground = async (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  const dark = await ground()
  await page.getByRole('radio', { name: 'Light' }).check()
  const light = await ground()
  notEqual(light, dark)
  await page.reload()
  await live(page)
  equal(await ground(), light)
  await page.getByRole('radio', { name: 'System' }).check()
  equal(await ground(), dark)
  await page.emulateMedia({ forcedColors: 'active' })
  await text(tile(page, 'Backlog'), /\d/)
  await finish(watched)
})

test('a daemon that hangs is not taken for one that is well', async () => {
  const { page } = await visit(office.pageOfB)
  office.b.daemon.signal('SIGSTOP')
  await text(page.locator('.banner'), /said nothing for 5 s/)
  office.b.daemon.signal('SIGCONT')
  await live(page)
  await page.context().close()
})

test('a search through a long outbox goes on by itself, until it is stopped', async (t) => {
  const scene = new TestEnvironment(t)
  const http = await freePort()
  const c = await scene.machine('c')
  giveTestToken(c.database)
  await c.start('--http', String(http))
  const to = { host: 'name.invalid', port: 9_000 }
  await c.sql(insertNumbered({ sender: 'c', to, first: 1, last: longRows, bytes: 500 }))
  const watched = await visit(`http://127.0.0.1:${http}/`)
  const { page } = watched
  // Over a slow line one can see and stop it.
  const devtools = await page.context().newCDPSession(page)
  const line = { offline: false, downloadThroughput: -1, uploadThroughput: -1 }
  await devtools.send('Network.emulateNetworkConditions', { ...line, latency: 1_500 })
  await page.goto(`http://127.0.0.1:${http}/#/outbox?search=never&by=text`)
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByText(/^No more found down to row \d/).waitFor()
  await devtools.send('Network.emulateNetworkConditions', { ...line, latency: 0 })
  await page.getByRole('button', { name: 'Search on' }).click()
  await page.getByText('Nothing like that is here.').waitFor()
  await search(page, 'c:1:500:')
  await rowsShown(page, 1)
  await page.getByText('That is all.').waitFor()
  match((await page.locator('.view-head .quiet').first().textContent()) ?? '', /^(?:≥ )?[1-9]/)
  await finish(watched)
})

test('while the daemon is away, old data is marked as old; it comes back by itself', async () => {
  const { page } = await visit(office.pageOfA)
  await text(tile(page, 'Backlog'), /\d/)
  await office.a.daemon.kill9()
  await text(page.locator('.banner'), /Not connected since \d\d:\d\d:\d\d/)
  await text(page.locator('.verdict'), /Unknown while not connected/)
  await text(page.locator('.pill'), /Not connected/)
  match(await page.title(), /^\? /)
  ok(await page.locator('main.is-old').isVisible())
  const age = await tile(page, 'Oldest row').textContent()
  await text(page.locator('.banner'), /\([2-9] s\)/)
  deepEqual(await accessibilityProblems(page), [])
  equal(await tile(page, 'Oldest row').textContent(), age, 'no age grows that nobody knows')

  await office.startA()
  await live(page)
  await page.locator('.banner').waitFor({ state: 'detached' })
  await text(page.locator('[role=status]'), /Connected again/)
  await page.context().close()
})
