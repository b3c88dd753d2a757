/** What happened lately that an operator must know, the newest first. */
import type { JSX } from 'preact'
import type { ApiEvent } from '../../observe/page-api.ts'
import { shownSentence } from '../model/shown-text.ts'
import { Clock } from './time.tsx'
import { Address } from './words.tsx'

export function Events({ events }: { readonly events: readonly ApiEvent[] }): JSX.Element {
  return (
    <section aria-labelledby="events-title">
      <h2 id="events-title">Last events</h2>
      {events.length === 0 ? <p class="quiet">Nothing out of the ordinary so far.</p> : null}
      <ol class="events">
        {events.map((event) => (
          <li key={`${event.at} ${event.code} ${event.host}`}>
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
