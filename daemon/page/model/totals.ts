/** How much there is in a box, as a sentence. */
import type { Overview } from '../../observe/page-api.ts'
import { estimateText } from './quantity.ts'
import type { Box } from './route.ts'

export function totalText(box: Box, overview: Overview | null): string {
  if (overview === null) return ''
  if (box === 'outbox') {
    const { waiting, inFlight, parked } = overview.outbox
    const parts = [`${estimateText(inFlight)} in flight`, `${estimateText(parked)} parked`]
    return `${estimateText(waiting)} rows, ${parts.join(', ')}.`
  }
  const { rows, dead } = overview.inbox
  return `${estimateText(rows)} rows, ${estimateText(dead)} dead letters.`
}
