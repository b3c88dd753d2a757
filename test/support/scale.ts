/**
 * How large the heavy tests are. 1 is what is promised and what CI runs; `TINYMQ_TEST_SCALE=0.1` is
 * for trying things out, more than 1 for a machine with an hour to spare.
 */
const scale = Number(process.env['TINYMQ_TEST_SCALE'] ?? '1')

/** `count` at the chosen scale. */
export function scaled(count: number): number {
  if (!(scale > 0)) throw new Error('TINYMQ_TEST_SCALE must be a number above 0.')
  return Math.max(1, Math.round(count * scale))
}
