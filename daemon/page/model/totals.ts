/** How much there is in a box, as a sentence. */
import type { Overview } from '../../observe/page-api.ts'
import { estimatePlural, estimateText } from './quantity.ts'
import type { Box } from './route.ts'

export function totalText(box: Box, overview: Overview | null): string {
  if (overview === null) return ''
  if (box === 'outbox') {
    const { waiting, inFlight, parked } = overview.outbox
    const parts = [`${estimateText(inFlight)} in flight`, `${estimateText(parked)} parked`]
    return `${estimatePlural(waiting, 'row')}, ${parts.join(', ')}.`
  }
  const { rows, dead } = overview.inbox
  return `${estimatePlural(rows, 'row')}, ${estimatePlural(dead, 'dead letter')}.`
}
