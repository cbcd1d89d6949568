import { Temporal } from 'temporal-polyfill'
import { Calendar, type Bounds, type CalendarWindow } from '../windows.ts'

export const PERIODS = ['today', 'yesterday', 'this-week', 'last-week', 'this-month', 'last-month'] as const
/** A span of the calendar as people name it. A week is Monday to Sunday. */
export type Period = (typeof PERIODS)[number]

const WINDOWS: Readonly<Record<Period, { readonly window: CalendarWindow; readonly last: boolean }>> = {
  today: { window: { kind: 'day' }, last: false },
  yesterday: { window: { kind: 'day' }, last: true },
  'this-week': { window: { kind: 'week', weekday: 1, minute: 0 }, last: false },
  'last-week': { window: { kind: 'week', weekday: 1, minute: 0 }, last: true },
  'this-month': { window: { kind: 'month', day: 1 }, last: false },
  'last-month': { window: { kind: 'month', day: 1 }, last: true },
}

/** The period that `nowMs` falls in, or the last complete one before it, in the zone. */
export function periodOf(period: Period, nowMs: number, zone: string): Bounds {
  const { window, last } = WINDOWS[period]
  const calendar = new Calendar(zone)
  const bounds = calendar.bounds(window, nowMs)
  return last ? calendar.bounds(window, bounds.startMs - 1) : bounds
}

/**
 * A time as people write it: a date, `2026-04-01`, is the whole day in the zone; a time is one instant, in the zone (`2026-04-01T14:30`) unless it says where
 * (`…Z`, `…+02:00`). A time that daylight saving skips is moved later, one that comes twice is its first.
 * @returns undefined where it is neither, or no such day exists. `startMs = endMs` for an instant.
 */
export function parseTime(text: string, zone: string): Bounds | undefined {
  try {
    if (/^\d{4}-\d\d-\d\d$/.test(text)) return dayOf(Temporal.PlainDate.from(text), zone)
    if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(text)) return undefined
    const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text)
    const ms = zoned ? Temporal.Instant.from(text).epochMilliseconds : Temporal.PlainDateTime.from(text).toZonedDateTime(zone).epochMilliseconds
    return { startMs: ms, endMs: ms }
  } catch {
    return undefined
  }
}

function dayOf(date: Temporal.PlainDate, zone: string): Bounds {
  return { startMs: date.toZonedDateTime(zone).epochMilliseconds, endMs: date.add({ days: 1 }).toZonedDateTime(zone).epochMilliseconds }
}
