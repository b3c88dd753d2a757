/**
 * What an event shows the operator of rows that are lost. Must never count a vague event as naming
 * a row, unless it says that it cannot name all.
 */

/** Whether this event of `mqevent` shows that the row `id` of the outbox is lost. */
export function tellsOf(code: string, detail: string, id: number): boolean {
  if (code === 'PEER_REPLACED') return true
  if (code !== 'PEER_ROLLED_BACK') return false
  if (/not known|earlier streams/.test(detail)) return true
  const ranges = /mqout\.id ([\d, -]+)/.exec(detail)?.[1] ?? ''
  return ranges.split(', ').some((range) => {
    const [from, to = from] = range.split('-').map(Number)
    return from !== undefined && to !== undefined && from <= id && id <= to
  })
}
