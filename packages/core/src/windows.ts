import { Temporal } from 'temporal-polyfill'

/** Quarter-hours are the grain of the totals: every zone offset in use is a multiple of one. */
export const QUARTER_MS = 900_000

/**
 * The span that a limit or quota counts over.
 *
 * Anchored windows (`day` … `first-use`) have a start, a reset and a lapse; `rolling` has none.
 * - `week`: begins on `weekday` (1 = Monday … 7 = Sunday) at `minute` of the local day (a multiple of 15).
 * - `month`: begins on `day`; in a shorter month on its last day.
 * - `first-use`: begins with the quarter-hour of the first use after the last one ended, and ends `spanMs` after that quarter-hour: at most 15 minutes late, never early.
 * - `rolling`: the last `spanMs`; a quarter-hour leaves when all of it has left: at most 15 minutes late, never early.
 */
export type Window =
  | { readonly kind: 'day' }
  | { readonly kind: 'week'; readonly weekday: number; readonly minute: number }
  | { readonly kind: 'month'; readonly day: number }
  | { readonly kind: 'quarter' }
  | { readonly kind: 'year' }
  | { readonly kind: 'first-use'; readonly spanMs: number }
  | { readonly kind: 'rolling'; readonly spanMs: number }

/** Half-open: from `startMs` up to, not including, `endMs`. Ms since the Unix epoch. */
export interface Bounds {
  readonly startMs: number
  readonly endMs: number
}

/** The windows that the calendar alone decides. */
export type CalendarWindow = Exclude<Window, { readonly kind: 'first-use' | 'rolling' }>

/** Wall-clock time in a zone. */
export interface LocalTime {
  /** 0 to 23. */
  readonly hour: number
  /** 1 (Monday) to 7 (Sunday). */
  readonly weekday: number
  /** 1 to 31. */
  readonly dayOfMonth: number
}

export const HOUR_MS = 3_600_000
/** Of a UTC day: one of a time zone with daylight saving may have an hour more or less. */
export const DAY_MS = 24 * HOUR_MS

/** Whether this is the name of an IANA time zone, or `UTC`, in any case. Offsets (`+05:00`) are not names: they know no daylight saving. */
export function isZone(name: string): boolean {
  try {
    const zone = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId
    // Temporal also reads the zone out of whole timestamps, such as `T00+05`: only the name itself comes back as it went in.
    return /^[a-z]/i.test(name) && zone.toLowerCase() === name.toLowerCase()
  } catch {
    return false
  }
}

/** Whether a window has a start, a reset and a lapse. Only such a window can be a quota's. */
export function isAnchored(window: Window): window is Exclude<Window, { readonly kind: 'rolling' }> {
  return window.kind !== 'rolling'
}

/** Start of the quarter-hour that `atMs` falls in. Ms since the epoch. */
export function quarterOf(atMs: number): number {
  return Math.floor(atMs / QUARTER_MS) * QUARTER_MS
}

/** The share of the window that has passed at `nowMs`, 0 to 1. */
export function elapsedShare(bounds: Bounds, nowMs: number): number {
  return Math.min(1, Math.max(0, (nowMs - bounds.startMs) / (bounds.endMs - bounds.startMs)))
}

/**
 * Calendar windows and local time in one zone.
 * It keeps the last answer for each window, so that a question about the same span only compares numbers.
 *
 * @example new Calendar('America/New_York').bounds({ kind: 'month', day: 15 }, Date.now())
 */
export class Calendar {
  readonly #zone: string
  readonly #lastBounds = new Map<number, Bounds>()
  #lastHour: Bounds & { readonly local: LocalTime } = { startMs: 0, endMs: 0, local: { hour: 0, weekday: 1, dayOfMonth: 1 } }

  /** @param zone a name that {@link isZone} accepts. */
  constructor(zone: string) {
    this.#zone = zone
  }

  /**
   * The window that `atMs` falls in. Consecutive windows leave no gap and do not overlap.
   * A start that daylight saving skips is moved later, one that comes twice is its first (Temporal's `compatible`); a day begins at its first instant.
   */
  bounds(window: CalendarWindow, atMs: number): Bounds {
    const key = keyOf(window)
    const last = this.#lastBounds.get(key)
    if (last !== undefined && last.startMs <= atMs && atMs < last.endMs) return last
    const bounds = this.#findBounds(window, atMs)
    this.#lastBounds.set(key, bounds)
    return bounds
  }

  /** Wall-clock time in the zone at `atMs`. */
  local(atMs: number): LocalTime {
    if (atMs < this.#lastHour.startMs || atMs >= this.#lastHour.endMs) this.#lastHour = this.#findHour(atMs)
    return this.#lastHour.local
  }

  #findBounds(window: CalendarWindow, atMs: number): Bounds {
    let first = firstDate(window, this.#zoned(atMs).toPlainDate())
    let startMs = this.#startMs(window, first)
    // The local date alone does not decide: a week may begin later that day, and clocks set back at 00:01 return to the day before.
    while (startMs > atMs) {
      first = step(window, first, -1)
      startMs = this.#startMs(window, first)
    }
    for (;;) {
      first = step(window, first, 1)
      const endMs = this.#startMs(window, first)
      if (atMs < endMs) return { startMs, endMs }
      startMs = endMs
    }
  }

  #startMs(window: CalendarWindow, date: Temporal.PlainDate): number {
    if (window.kind !== 'week' || window.minute === 0) return date.toZonedDateTime(this.#zone).epochMilliseconds
    const plainTime = { hour: Math.floor(window.minute / 60), minute: window.minute % 60 }
    return date.toZonedDateTime({ timeZone: this.#zone, plainTime }).epochMilliseconds
  }

  #findHour(atMs: number): Bounds & { readonly local: LocalTime } {
    const zoned = this.#zoned(atMs)
    const local = { hour: zoned.hour, weekday: zoned.dayOfWeek, dayOfMonth: zoned.day }
    const startMs = atMs - ((zoned.minute * 60 + zoned.second) * 1000 + zoned.millisecond)
    const endMs = startMs + HOUR_MS
    const steady = [startMs, endMs - 1].every((edgeMs) => this.#zoned(edgeMs).offsetNanoseconds === zoned.offsetNanoseconds)
    return steady ? { startMs, endMs, local } : { startMs: atMs, endMs: atMs + 1, local }
  }

  #zoned(atMs: number): Temporal.ZonedDateTime {
    return Temporal.Instant.fromEpochMilliseconds(Math.floor(atMs)).toZonedDateTimeISO(this.#zone)
  }
}

function keyOf(window: CalendarWindow): number {
  switch (window.kind) {
    case 'day':
      return 0
    case 'quarter':
      return 1
    case 'year':
      return 2
    case 'month':
      return 10 + window.day
    case 'week':
      return window.weekday * 10_000 + window.minute
  }
}

/** First date of the window that `date` falls in; one window too late where a month's day is still to come. */
function firstDate(window: CalendarWindow, date: Temporal.PlainDate): Temporal.PlainDate {
  switch (window.kind) {
    case 'day':
      return date
    case 'week':
      return date.subtract({ days: (date.dayOfWeek - window.weekday + 7) % 7 })
    case 'month':
      return date.with({ day: window.day })
    case 'quarter':
      return date.with({ month: date.month - ((date.month - 1) % 3), day: 1 })
    case 'year':
      return date.with({ month: 1, day: 1 })
  }
}

/** First date of the window `count` windows later. */
function step(window: CalendarWindow, first: Temporal.PlainDate, count: number): Temporal.PlainDate {
  switch (window.kind) {
    case 'day':
      return first.add({ days: count })
    case 'week':
      return first.add({ days: 7 * count })
    case 'month':
      // A start clamped to 28 February gets its own day back in March.
      return first.add({ months: count }).with({ day: window.day })
    case 'quarter':
      return first.add({ months: 3 * count })
    case 'year':
      return first.add({ years: count })
  }
}
