/** The few pictures of the page. Must never say anything that is not said in words beside it. */
import type { JSX } from 'preact'
import type { HealthLevel } from '../../observe/page-api.ts'

const paths = {
  ok: 'M4.5 10.5 8.5 14.5 15.5 6',
  warn: 'M10 4.500v7M10 15.200v.1',
  error: 'M5.5 5.500l9 9M14.5 5.500l-9 9',
} as const

export function LevelIcon({ level }: { readonly level: HealthLevel | null }): JSX.Element {
  return (
    <svg class={`level level-${level ?? 'none'}`} viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="10" cy="10" r="10" />
      <path d={level === null ? 'M6 10h8' : paths[level]} />
    </svg>
  )
}

/** A row that goes from one table to another. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path class="mark-rows" d="M7 10h9M7 22h9" />
      <path d="M7 16h17M19.5 10.5 25 16l-5.5 5.5" />
    </svg>
  )
}
