/**
 * What is looked for. It asks while one types, after a pause, and at once with Enter; the address
 * follows, so that a search can be sent to somebody.
 */
import type { JSX } from 'preact'
import type { OutboxState, SearchBy } from '../../observe/page-api.ts'
import { outboxStates, searchBys, type Box, type Query } from '../model/route.ts'
import { replaceRoute } from './use-route.ts'
import { useTyped } from './use-typed.ts'

const byLabels: Record<SearchBy, string> = {
  any: 'anything',
  id: 'row id',
  host: 'host',
  token: 'token',
  text: 'text of the data',
}

const stateLabels: Record<OutboxState | 'any', string> = {
  any: 'any state',
  waiting: 'waiting',
  'in-flight': 'in flight',
  parked: 'parked',
}

type Props = { readonly box: Box; readonly query: Query }

export function SearchForm({ box, query }: Props): JSX.Element {
  const ask = (changes: Partial<Query>): void =>
    replaceRoute({ view: 'list', box, query: { ...query, ...changes } })
  const { text, type, settle } = useTyped(query.search, (search) => ask({ search }))
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault()
        settle()
      }}
    >
      <label class="grow">
        <span>Search</span>
        <input
          type="search"
          value={text}
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => type(currentTarget.value)}
        />
      </label>
      <Choice
        label="Search in"
        value={query.by}
        values={searchBys}
        labels={byLabels}
        onChoice={(by) => ask({ by, search: text })}
      />
      {box === 'outbox' ? (
        <Choice
          label="State"
          value={query.state}
          values={outboxStates}
          labels={stateLabels}
          onChoice={(state) => ask({ state, search: text })}
        />
      ) : (
        <Choice
          label="Which"
          value={query.isDead ? 'dead' : 'live'}
          values={['live', 'dead']}
          labels={{ live: 'messages', dead: 'dead letters' }}
          onChoice={(which) => ask({ isDead: which === 'dead', search: text })}
        />
      )}
    </form>
  )
}

type ChoiceProps<T extends string> = {
  readonly label: string
  readonly value: T
  readonly values: readonly T[]
  readonly labels: Record<T, string>
  readonly onChoice: (value: T) => void
}

function Choice<T extends string>(props: ChoiceProps<T>): JSX.Element {
  const { label, value, values, labels, onChoice } = props
  return (
    <label>
      <span>{label}</span>
      <select
        value={value}
        onChange={({ currentTarget }) => {
          const chosen = values.find((one) => one === currentTarget.value)
          if (chosen !== undefined) onChoice(chosen)
        }}
      >
        {values.map((one) => (
          <option key={one} value={one} selected={one === value}>
            {labels[one]}
          </option>
        ))}
      </select>
    </label>
  )
}
