/**
 * The stream of overviews: one a second by an event stream while the page is seen, a question now
 * and then while it is not (a browser has six connections to a host, and each tab would hold one).
 * Must never take silence for good news: a stream that says nothing for a while is given up.
 */
import type { Overview } from '../../api-types.ts'
import type { Fact, Failure } from '../model/connection.ts'
import { getOverview, readToken } from './api.ts'

/** Five times the pace of the daemon. */
const silenceMs = 5_000
/** Between tries when nothing comes: nobody waits long, and a thousand pages are no flood. */
const retryMs = 2_000
/** Each time a browser may ask somebody for a password. */
const refusedMs = 60_000
/** While nobody looks: often enough for the title of the tab. */
const hiddenMs = 10_000

/** Shows `onFact` until the signal is aborted. */
export function followOverviews(onFact: (fact: Fact) => void, signal: AbortSignal): void {
  let round = new AbortController()

  const begin = (): void => {
    round.abort()
    round = new AbortController()
    void follow(onFact, round.signal)
  }
  const end = (): void => round.abort()

  begin()
  document.addEventListener('visibilitychange', begin, { signal })
  globalThis.addEventListener('online', begin, { signal })
  signal.addEventListener('abort', end)
}

async function follow(onFact: (fact: Fact) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const answer = await getOverview(signal)
    if (signal.aborted || answer.type === 'aborted') return
    if (answer.type === 'failure') {
      onFact({ type: 'failed', failure: answer.failure })
      await pause(answer.failure.isRefused === true ? refusedMs : retryMs, signal)
    } else {
      onFact(heard(answer.value))
      if (document.hidden) await pause(hiddenMs, signal)
      else await listen(onFact, signal)
    }
  }
}

/** Resolves when the stream has ended, for whatever reason, and when a retry may come. */
async function listen(onFact: (fact: Fact) => void, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const beganAtMs = performance.now()
  const token = readToken()
  const source = new EventSource(token === undefined ? 'api/events' : `api/events?token=${token}`)
  const onSilence = (): void => {
    onFact({ type: 'failed', failure: silence })
    resolve()
  }
  let watch = setTimeout(onSilence, silenceMs)
  source.addEventListener('overview', ({ data }: MessageEvent<string>) => {
    clearTimeout(watch)
    watch = setTimeout(onSilence, silenceMs)
    onFact(heard(JSON.parse(data) as Overview))
  })
  source.addEventListener('error', () => resolve())
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearTimeout(watch)
  source.close()
  // Where something before the daemon lets no stream through, this asks at the pace of retries.
  if (performance.now() - beganAtMs < retryMs) await pause(retryMs, signal)
}

const silence: Failure = {
  code: 'SILENT',
  message: `The daemon has said nothing for ${silenceMs / 1_000} s.`,
  hint: 'It hangs, or the network between here and there does. It is asked again and again.',
}

const heard = (overview: Overview): Fact => ({ type: 'heard', overview, nowMs: Date.now() })

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearTimeout(timer)
}
