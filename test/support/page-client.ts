/**
 * Asks the HTTP server of a daemon, as the page, a scraper or an unauthenticated peer would.
 * Headers that `fetch` would not send (Host, Origin) can be given. Must never follow a redirect.
 */
import { request, type IncomingMessage } from 'node:http'
import { readPageToken } from '../../daemon/platform/files/page-token.ts'
import type { Overview } from '../../daemon/http/api-types.ts'

export type Asked = {
  readonly status: number
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly text: string
  readonly tookMs: number
}

type Asking = {
  readonly method?: string
  readonly headers?: { readonly [name: string]: string }
  readonly host?: string
}

type PageClientOptions = {
  /** The address that it asks from. */
  readonly from?: string
  /** Of which it may read the token. */
  readonly database?: string
}

export class PageClient {
  readonly #port: number
  readonly #options: PageClientOptions

  constructor(port: number, options: PageClientOptions = {}) {
    this.#port = port
    this.#options = options
  }

  async ask(path: string, { method = 'GET', headers = {}, host }: Asking = {}): Promise<Asked> {
    const startMs = performance.now()
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const { from } = this.#options
    const options = {
      host: host ?? '127.0.0.1',
      port: this.#port,
      path,
      method,
      headers: { ...this.#token(), ...headers },
      agent: false,
      ...(from !== undefined && { localAddress: from }),
    }
    request(options, resolve).on('error', reject).end()
    const answer = await promise
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    const tookMs = performance.now() - startMs
    return { status: answer.statusCode ?? 0, headers: answer.headers, text, tookMs }
  }

  /** The body of an answer that must be 200. */
  async json<T>(path: string): Promise<T> {
    const { status, text } = await this.ask(path)
    if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`)
    return JSON.parse(text) as T
  }

  async metrics(): Promise<string> {
    return (await this.ask('/metrics')).text
  }

  /** Listens to the events until `end` is called. */
  async listen(onOverview: (overview: Overview) => void): Promise<{ readonly end: () => void }> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const options = { host: '127.0.0.1', port: this.#port, path: '/api/events', agent: false }
    const asked = request({ ...options, headers: this.#token() }, resolve).on('error', reject)
    asked.end()
    const answer = await promise
    let text = ''
    answer.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const events = text.split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) {
        const data = /^data: (.*)$/m.exec(event)?.[1]
        if (data !== undefined) onOverview(JSON.parse(data) as Overview)
      }
    })
    // Ended by us.
    answer.on('error', () => {})
    return { end: () => asked.destroy() }
  }

  #token(): { readonly [name: string]: string } {
    const { database } = this.#options
    const token = database === undefined ? undefined : readPageToken(database)
    return token === undefined ? {} : { authorization: `Bearer ${token}` }
  }
}
