/**
 * How many events of one code the holders of one key may cause: they choose the host that an event
 * names, and must not fill `mqevent` with it.
 */

const eventsPerHour = 16
const hourMs = 3_600_000

export class EventPace {
  /** By code and key, both of which are few. */
  readonly #hours = new Map<string, { sinceMs: number; told: number }>()

  mayTell(code: string, key: string, nowMs: number): boolean {
    const name = `${code} ${key}`
    const hour = this.#hours.get(name)
    if (hour === undefined || Math.abs(nowMs - hour.sinceMs) >= hourMs) {
      this.#hours.set(name, { sinceMs: nowMs, told: 1 })
      return true
    }
    hour.told++
    return hour.told <= eventsPerHour
  }
}
