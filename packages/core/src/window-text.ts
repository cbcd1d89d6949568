import { QUARTER_MS, type Window } from './windows.ts'

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const SPAN_UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000 } as const
const MAX_SPAN_MS = 366 * SPAN_UNITS.d

/**
 * Reads the window of an amount: `day`, `week`, `month`, `quarter`, `year`, `month@15`, `week@Sun`, `week@Mon 09:00`, `5h@first-use`, or rolling `45m`, `5h`, `7d`.
 * `week` begins on Monday at 00:00, `month` on day 1. Day names in any case. Times and spans are whole quarter-hours, a span 15 minutes to 366 days.
 * @returns undefined where the text is none of these.
 */
export function parseWindow(text: string): Window | undefined {
  switch (text) {
    case 'day':
    case 'quarter':
    case 'year':
      return { kind: text }
    case 'week':
      return { kind: 'week', weekday: 1, minute: 0 }
    case 'month':
      return { kind: 'month', day: 1 }
    default:
      return parseMonth(text) ?? parseWeek(text) ?? parseSpan(text)
  }
}

function parseMonth(text: string): Window | undefined {
  const day = Number(/^month@(\d{1,2})$/.exec(text)?.[1])
  return day >= 1 && day <= 31 ? { kind: 'month', day } : undefined
}

function parseWeek(text: string): Window | undefined {
  const match = /^week@([A-Za-z]{3})(?: +(\d{1,2}):(00|15|30|45))?$/.exec(text)
  if (match === null) return undefined
  const [, name = '', hour = '0', minute = '0'] = match
  const weekday = WEEKDAYS.findIndex((day) => day.toLowerCase() === name.toLowerCase()) + 1
  return weekday > 0 && Number(hour) < 24 ? { kind: 'week', weekday, minute: Number(hour) * 60 + Number(minute) } : undefined
}

function parseSpan(text: string): Window | undefined {
  const match = /^(\d{1,6})([dhm])(@first-use)?$/.exec(text)
  if (match === null) return undefined
  const spanMs = Number(match[1]) * SPAN_UNITS[match[2] as keyof typeof SPAN_UNITS]
  if (spanMs < QUARTER_MS || spanMs > MAX_SPAN_MS || spanMs % QUARTER_MS !== 0) return undefined
  return { kind: match[3] === undefined ? 'rolling' : 'first-use', spanMs }
}

/** The shortest text that {@link parseWindow} reads as this window: `month`, `week@Mon 09:00`, `5h@first-use`, `7d`. */
export function formatWindow(window: Window): string {
  switch (window.kind) {
    case 'week':
      return formatWeek(window.weekday, window.minute)
    case 'month':
      return window.day === 1 ? 'month' : `month@${window.day}`
    case 'first-use':
      return `${formatSpan(window.spanMs)}@first-use`
    case 'rolling':
      return formatSpan(window.spanMs)
    default:
      return window.kind
  }
}

function formatWeek(weekday: number, minute: number): string {
  if (weekday === 1 && minute === 0) return 'week'
  const day = `week@${WEEKDAYS[weekday - 1]}`
  if (minute === 0) return day
  return `${day} ${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
}

/** In the largest unit that fits: 24 hours are `1d`. */
function formatSpan(spanMs: number): string {
  const unit = spanMs % SPAN_UNITS.d === 0 ? 'd' : spanMs % SPAN_UNITS.h === 0 ? 'h' : 'm'
  return `${spanMs / SPAN_UNITS[unit]}${unit}`
}
