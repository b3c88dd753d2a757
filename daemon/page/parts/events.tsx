/** What happened lately that an operator must know, the newest first. */
import type { JSX } from 'preact'
import type { ApiEvent } from '../../observe/page-api.ts'
import { distinct } from '../model/distinct.ts'
import { shownSentence } from '../model/shown-text.ts'
import { Clock } from './time.tsx'
import { Address } from './words.tsx'

export function Events({ events }: { readonly events: readonly ApiEvent[] }): JSX.Element {
  const keys = distinct(events.map(({ at, code, host, port }) => `${at} ${code} ${host} ${port}`))
  return (
    <section aria-labelledby="events-title">
      <h2 id="events-title">Last events</h2>
      {events.length === 0 ? <p class="quiet">Nothing out of the ordinary so far.</p> : null}
      <ol class="events">
        {events.map((event, index) => (
          <li key={keys[index]}>
            <span class="event-at">
              <Clock at={event.at} />
            </span>
            <div>
              <bdi>{shownSentence(event.sentence)}</bdi>{' '}
              {event.host === null ? null : (
                <span class="quiet">
                  <Address host={event.host} port={event.port} />{' '}
                </span>
              )}
              <code class="code">{event.code}</code>
            </div>
          </li>
        ))}
      </ol>
    </section>
  )
}
