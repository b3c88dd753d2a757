/**
 * The HTTP application on a database of its own, without a socket: for tests. Must never stand in
 * for a part of it.
 */
import type { TestContext } from 'node:test'
import { scratchDatabase } from './scratch.ts'
import { createCounters, type Counters } from '../../daemon/platform/counters.ts'
import type { LogLine } from '../../daemon/platform/log.ts'
import { type App, createApp, readPage } from '../../daemon/http/routes.ts'
import { TimeSeries } from '../../daemon/http/time-series.ts'
import { StatusService, type Readiness } from '../../daemon/http/status.ts'
import { Reader } from '../../daemon/http/reader/client.ts'

type AppBenchOptions = {
  readonly password?: string
  readonly token?: string
  readonly names?: readonly string[]
  readonly canAct?: boolean
  /** Folder of a built page. */
  readonly page?: string
}

export class AppBench {
  readonly db: ReturnType<typeof scratchDatabase>
  readonly counters: Counters = createCounters()
  readonly history: TimeSeries
  readonly lines: LogLine[] = []
  readonly app: App
  readiness: Readiness = { isReady: true, sentence: '' }

  constructor(context: TestContext, options: AppBenchOptions = {}) {
    this.db = scratchDatabase(context)
    const startedAt = Date.now()
    this.history = new TimeSeries(startedAt)
    const reader = new Reader(this.db.name)
    const { password, token, names = [], canAct = false, page = '' } = options
    const facts = {
      name: 'here',
      version: '1.2.3',
      database: this.db.name,
      address: '127.0.0.1:9000',
      startedAt,
      pid: 7,
      canAct,
      hasKeys: false,
    }
    this.app = createApp({
      statusService: new StatusService({
        counters: this.counters,
        history: this.history,
        reader,
        facts: () => facts,
        readiness: () => this.readiness,
        fault: () => undefined,
      }),
      rules: { names, canAct },
      password,
      token: token === undefined ? undefined : { text: token, path: '/var/db-page-token' },
      page: readPage(page),
      process: () => ({ version: '1.2.3', startedAtMs: startedAt, residentBytes: 1, cpuUs: 1 }),
      log: (line) => this.lines.push(line),
    })
    context.after(() => {
      this.app.stop()
      void reader.stop()
    })
  }

  /** As a program on this machine asks, with what `headers` adds. */
  async ask(
    path: string,
    { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
  ): Promise<Response> {
    const request = new Request(`http://127.0.0.1:9000${path}`, { method })
    for (const [name, value] of Object.entries({ host: '127.0.0.1:9000', ...headers })) {
      request.headers.set(name, value)
    }
    return this.app.fetch(request, '127.0.0.1')
  }

  /** The body of an answer that must be 200. */
  async json<T>(path: string): Promise<T> {
    const answer = await this.ask(path)
    if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }
}
