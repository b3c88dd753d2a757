/** The steps of a message's life, with the time that each took. Must never reorder them. */
import type { TimelineStep } from '../../api-types.ts'

/** `tookMs` is the time since the last step whose time is known; null for the first one. */
type ReportedStep = TimelineStep & { readonly tookMs: number | null }

export function reported(story: readonly TimelineStep[]): ReportedStep[] {
  let lastAt: number | null = null
  return story.map((step) => {
    const tookMs = step.at === null || lastAt === null ? null : step.at - lastAt
    lastAt = step.at ?? lastAt
    return { ...step, tookMs }
  })
}
