/**
 * The lines that a daemon writes for its operator. Each line names its kind of event, and each kind
 * has a budget, so that neither a peer nor an unauthenticated peer can flood the log. Must never
 * hold a secret or a message's data.
 */
import { pino, type Logger } from 'pino'

type LogLevel = 'debug' | 'info' | 'warn' | 'error'
type LogFields = { readonly [name: string]: string | number | boolean | undefined }

export type LogLine = {
  readonly level: LogLevel
  /** Of a small fixed set: it is what operators filter by and what the budget is for. */
  readonly event: string
  readonly sentence: string
  readonly fields?: LogFields
}

export type Log = (line: LogLine) => void

export type LogOptions = {
  readonly level: LogLevel
  readonly format: 'text' | 'json'
  /** Takes whole lines. */
  readonly write: (text: string) => void
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

/** Lines of one kind that may come at once … */
const burstLines = 20
/** … and the pace after that: enough to see that it goes on, too slow to fill a disk. */
const refillMs = 10_000

type Budget = { lines: number; refilledMs: number; suppressed: number }

/** A log that counts what it leaves out and says so with the next line of the same kind. */
export function createLog(options: LogOptions): Log {
  const logger = createLogger(options)
  const budgets = new Map<string, Budget>()
  return ({ level, event, sentence, fields }) => {
    if (!logger.isLevelEnabled(level)) return
    const budget = budgets.get(event) ?? { lines: burstLines, refilledMs: 0, suppressed: 0 }
    budgets.set(event, budget)
    if (!takeLine(budget, options.nowMs())) return
    const left = budget.suppressed === 0 ? {} : { suppressed: budget.suppressed }
    budget.suppressed = 0
    logger[level]({ event, ...fields, ...left }, sentence)
  }
}

function takeLine(budget: Budget, nowMs: number): boolean {
  const refill = Math.floor((nowMs - budget.refilledMs) / refillMs)
  if (refill > 0) {
    budget.lines = Math.min(burstLines, budget.lines + refill)
    budget.refilledMs += refill * refillMs
  }
  if (budget.lines === 0) {
    budget.suppressed++
    return false
  }
  budget.lines--
  return true
}

function createLogger({ level, format, write }: LogOptions): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: format === 'json' ? write : (line) => write(textLine(line)) },
  )
}

/** `time level sentence key=value …` */
function textLine(json: string): string {
  const { time, level, message, event: _, ...fields } = JSON.parse(json) as Record<string, unknown>
  const words = Object.entries(fields).map(([name, value]) => `${name}=${textValue(value)}`)
  return `${[time, String(level).padEnd(5), printable(String(message)), ...words].join(' ')}\n`
}

/** What a peer wrote (a reason, a host) must not reach a terminal as control characters. */
function textValue(value: unknown): string {
  const text = String(value)
  return /^[\w.:/@%+[\]-]+$/.test(text) ? text : printable(JSON.stringify(text))
}

function printable(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
