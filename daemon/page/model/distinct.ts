/** Names for rows in a list. Must never give two of them the same. */

/** The names as they are, but each that came before with a number behind it. */
export function distinct(names: readonly string[]): string[] {
  const counts = new Map<string, number>()
  return names.map((name) => {
    const count = counts.get(name) ?? 0
    counts.set(name, count + 1)
    return count === 0 ? name : `${name} #${count}`
  })
}
