import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, test } from 'vitest'
import { Calendar, type CalendarWindow, elapsedShare, isAnchored, isZone, QUARTER_MS, quarterOf } from './windows.ts'

const HOUR = 3_600_000
const ZONES = [...Intl.supportedValuesOf('timeZone'), 'UTC']
const DAY: CalendarWindow = { kind: 'day' }

/** The bounds of a window as local timestamps without their date's zone name, which is easier to check by eye. */
function boundsOf(zone: string, window: CalendarWindow, at: string): [string, string] {
  const { startMs, endMs } = new Calendar(zone).bounds(window, Temporal.Instant.from(at).epochMilliseconds)
  const text = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone).toString({ timeZoneName: 'never', smallestUnit: 'minute' })
  return [text(startMs), text(endMs)]
}

const minute = fc.integer({ min: 0, max: 95 }).map((quarter) => quarter * 15)
const calendarWindow: fc.Arbitrary<CalendarWindow> = fc.oneof(
  fc.constantFrom<CalendarWindow[]>(DAY, { kind: 'quarter' }, { kind: 'year' }),
  fc.record({ kind: fc.constant('month' as const), day: fc.integer({ min: 1, max: 31 }) }),
  fc.record({ kind: fc.constant('week' as const), weekday: fc.integer({ min: 1, max: 7 }), minute }),
)
const since1990 = fc.integer({ min: Date.UTC(1990, 0, 3), max: Date.UTC(2045, 0, 1) })

/** Instants at which the zone's offset changes, 1990 to 2037: where mistakes are. */
function transitionsOf(zone: string): number[] {
  const found: number[] = []
  let at = Temporal.Instant.from('1990-01-10T00:00Z').toZonedDateTimeISO(zone).getTimeZoneTransition('next')
  while (at !== null && at.year < 2038) {
    found.push(at.epochMilliseconds)
    at = at.getTimeZoneTransition('next')
  }
  return found
}

function expectTiles(calendar: Calendar, window: CalendarWindow, atMs: number): void {
  const { startMs, endMs } = calendar.bounds(window, atMs)
  expect(startMs <= atMs && atMs < endMs).toBe(true)
  expect([startMs % QUARTER_MS, endMs % QUARTER_MS]).toEqual([0, 0])
  expect(calendar.bounds(window, startMs)).toEqual({ startMs, endMs })
  expect(calendar.bounds(window, endMs - 1)).toEqual({ startMs, endMs })
  expect(calendar.bounds(window, endMs).startMs).toBe(endMs)
  expect(calendar.bounds(window, startMs - 1).endMs).toBe(startMs)
}

describe('isZone', () => {
  test.each(['UTC', 'utc', 'America/New_York', 'europe/berlin', 'Asia/Calcutta', 'Etc/GMT+5', 'US/Eastern'])('takes %s', (name) => {
    expect(isZone(name)).toBe(true)
  })
  test.each([
    '',
    '+05:00',
    '-03',
    'Z',
    'T00+05',
    '20200101T00+05',
    '2020-01-01T00:00[Asia/Tokyo]',
    'America/New York',
    'Mars/Base',
    ' UTC',
    'local',
    'toString',
  ])('refuses %j', (name) => {
    expect(isZone(name)).toBe(false)
  })
  test('takes every zone that the runtime knows', () => {
    expect(ZONES.filter((zone) => !isZone(zone))).toEqual([])
  })
})

describe('calendar windows', () => {
  test.each<[string, string, CalendarWindow, string, string, string]>([
    ['a plain day', 'UTC', DAY, '2026-11-05T12:00Z', '2026-11-05T00:00+00:00', '2026-11-06T00:00+00:00'],
    ['a day of 23 hours', 'America/New_York', DAY, '2026-03-08T12:00Z', '2026-03-08T00:00-05:00', '2026-03-09T00:00-04:00'],
    ['a day of 25 hours', 'America/New_York', DAY, '2026-11-01T12:00Z', '2026-11-01T00:00-04:00', '2026-11-02T00:00-05:00'],
    ['a day without midnight', 'America/Sao_Paulo', DAY, '2018-11-04T12:00Z', '2018-11-04T01:00-02:00', '2018-11-05T00:00-02:00'],
    ['the day before it', 'America/Sao_Paulo', DAY, '2018-11-04T02:59Z', '2018-11-03T00:00-03:00', '2018-11-04T01:00-02:00'],
    ['a day without midnight in Cairo', 'Africa/Cairo', DAY, '2024-04-26T12:00Z', '2024-04-26T01:00+03:00', '2024-04-27T00:00+03:00'],
    ['clocks set back from midnight', 'Africa/Cairo', DAY, '2024-10-31T12:00Z', '2024-10-31T00:00+03:00', '2024-11-01T00:00+02:00'],
    ['clocks set back at 00:01', 'America/St_Johns', DAY, '2010-11-07T02:35Z', '2010-11-07T00:00-02:30', '2010-11-08T00:00-03:30'],
    ['daylight saving of half an hour', 'Australia/Lord_Howe', DAY, '2026-04-04T20:00Z', '2026-04-05T00:00+11:00', '2026-04-06T00:00+10:30'],
    ['a half-hour zone', 'Asia/Kolkata', DAY, '2026-11-05T18:30Z', '2026-11-06T00:00+05:30', '2026-11-07T00:00+05:30'],
    ['a 45-minute zone', 'Asia/Kathmandu', DAY, '2026-11-05T18:14Z', '2026-11-05T00:00+05:45', '2026-11-06T00:00+05:45'],
    ['UTC+14', 'Pacific/Kiritimati', DAY, '2026-11-05T10:00Z', '2026-11-06T00:00+14:00', '2026-11-07T00:00+14:00'],
    ['the day before a date that was skipped', 'Pacific/Apia', DAY, '2011-12-30T00:00Z', '2011-12-29T00:00-10:00', '2011-12-31T00:00+14:00'],
    ['29 February', 'UTC', DAY, '2028-02-29T23:59Z', '2028-02-29T00:00+00:00', '2028-03-01T00:00+00:00'],
    ['a week', 'UTC', { kind: 'week', weekday: 1, minute: 0 }, '2026-11-05T12:00Z', '2026-11-02T00:00+00:00', '2026-11-09T00:00+00:00'],
    ['a week before its hour', 'UTC', { kind: 'week', weekday: 1, minute: 540 }, '2026-11-02T08:59Z', '2026-10-26T09:00+00:00', '2026-11-02T09:00+00:00'],
    ['a week at its hour', 'UTC', { kind: 'week', weekday: 1, minute: 540 }, '2026-11-02T09:00Z', '2026-11-02T09:00+00:00', '2026-11-09T09:00+00:00'],
    [
      'a week that begins in a gap',
      'Europe/Berlin',
      { kind: 'week', weekday: 7, minute: 150 },
      '2026-03-29T12:00Z',
      '2026-03-29T03:30+02:00',
      '2026-04-05T02:30+02:00',
    ],
    [
      'a week that begins twice',
      'Europe/Berlin',
      { kind: 'week', weekday: 7, minute: 150 },
      '2026-10-25T01:15Z',
      '2026-10-25T02:30+02:00',
      '2026-11-01T02:30+01:00',
    ],
    ['a month', 'America/New_York', { kind: 'month', day: 1 }, '2026-11-05T12:00Z', '2026-11-01T00:00-04:00', '2026-12-01T00:00-05:00'],
    ['a month before its billing day', 'UTC', { kind: 'month', day: 15 }, '2026-01-14T12:00Z', '2025-12-15T00:00+00:00', '2026-01-15T00:00+00:00'],
    ['a month on its billing day', 'UTC', { kind: 'month', day: 15 }, '2026-01-15T00:00Z', '2026-01-15T00:00+00:00', '2026-02-15T00:00+00:00'],
    ['month@31 in February', 'UTC', { kind: 'month', day: 31 }, '2026-03-05T12:00Z', '2026-02-28T00:00+00:00', '2026-03-31T00:00+00:00'],
    ['month@31 before February', 'UTC', { kind: 'month', day: 31 }, '2028-02-28T12:00Z', '2028-01-31T00:00+00:00', '2028-02-29T00:00+00:00'],
    ['a quarter', 'UTC', { kind: 'quarter' }, '2026-12-31T23:59Z', '2026-10-01T00:00+00:00', '2027-01-01T00:00+00:00'],
    ['a year', 'Asia/Kathmandu', { kind: 'year' }, '2026-12-31T18:15Z', '2027-01-01T00:00+05:45', '2028-01-01T00:00+05:45'],
  ])('know %s', (_, zone, window, at, start, end) => {
    expect(boundsOf(zone, window, at)).toEqual([start, end])
  })

  test('contain the instant, tile time and begin on quarter-hours, in any zone', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), calendarWindow, since1990, (zone, window, atMs) => expectTiles(new Calendar(zone), window, atMs)),
      { numRuns: 4000 },
    )
  })

  test('also around every change of offset since 1990', () => {
    for (const zone of ZONES) {
      const calendar = new Calendar(zone)
      for (const atMs of transitionsOf(zone)) {
        const local = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone)
        const week: CalendarWindow = { kind: 'week', weekday: local.dayOfWeek, minute: Math.floor((local.hour * 60 + local.minute) / 15) * 15 }
        for (const window of [DAY, week]) {
          for (const asideMs of [-1, 0]) expectTiles(calendar, window, atMs + asideMs)
        }
      }
    }
  })

  test('are what a fresh calendar says, whatever was asked before', () => {
    const question = fc.tuple(calendarWindow, fc.integer({ min: Date.UTC(2026, 9, 1), max: Date.UTC(2026, 11, 1) }))
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), fc.array(question, { maxLength: 20 }), (zone, questions) => {
        const used = new Calendar(zone)
        for (const [window, atMs] of questions) {
          expect(used.bounds(window, atMs)).toEqual(new Calendar(zone).bounds(window, atMs))
        }
      }),
    )
  })

  test('are not computed again within the same span', () => {
    const calendar = new Calendar('Europe/Berlin')
    const first = calendar.bounds({ kind: 'month', day: 15 }, Date.UTC(2026, 10, 5))
    calendar.bounds({ kind: 'month', day: 16 }, Date.UTC(2026, 10, 5))
    expect(calendar.bounds({ kind: 'month', day: 15 }, Date.UTC(2026, 10, 6))).toBe(first)
  })
})

describe('local time', () => {
  const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

  /** What the runtime's own formatter says. */
  function formatter(zone: string) {
    const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', hour: 'numeric', weekday: 'short', day: 'numeric' })
    return (atMs: number) => {
      const parts = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, value]))
      return { hour: Number(parts['hour']), weekday: WEEKDAYS.indexOf(parts['weekday'] ?? '') + 1, dayOfMonth: Number(parts['day']) }
    }
  }

  test('is Monday 1 to Sunday 7, hours 0 to 23', () => {
    const calendar = new Calendar('UTC')
    expect(calendar.local(Date.UTC(2026, 10, 1, 23, 59))).toEqual({ hour: 23, weekday: 7, dayOfMonth: 1 })
    expect(calendar.local(Date.UTC(2026, 10, 2))).toEqual({ hour: 0, weekday: 1, dayOfMonth: 2 })
    expect(calendar.local(0)).toEqual({ hour: 0, weekday: 4, dayOfMonth: 1 })
  })

  test.each(['America/New_York', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Africa/Cairo', 'Pacific/Apia', 'Antarctica/Troll'])(
    'is right minute by minute around every change of offset in %s',
    (zone) => {
      const calendar = new Calendar(zone)
      const expected = formatter(zone)
      for (const atMs of transitionsOf(zone).slice(-60)) {
        for (let asideMs = -HOUR; asideMs <= HOUR; asideMs += 5 * 60_000) expect(calendar.local(atMs + asideMs)).toEqual(expected(atMs + asideMs))
        for (const asideMs of [-1, 0, 59_999, 60_000]) expect(calendar.local(atMs + asideMs)).toEqual(expected(atMs + asideMs))
      }
    },
  )

  test('is not computed again within the same hour', () => {
    const calendar = new Calendar('Asia/Kolkata')
    const first = calendar.local(Date.UTC(2026, 10, 5, 12, 30))
    expect(calendar.local(Date.UTC(2026, 10, 5, 13, 29, 59, 999))).toBe(first)
    expect(calendar.local(Date.UTC(2026, 10, 5, 13, 30))).not.toBe(first)
  })
})

describe('spans', () => {
  test('have passed by a share between 0 and 1', () => {
    const bounds = { startMs: 1000, endMs: 3000 }
    expect([0, 1000, 1500, 3000, 9000].map((nowMs) => elapsedShare(bounds, nowMs))).toEqual([0, 0, 0.25, 1, 1])
  })
  test('are counted in quarter-hours', () => {
    expect([0, 899_999, 900_000, -1].map(quarterOf)).toEqual([0, 0, 900_000, -900_000])
  })
  test('are anchored unless they roll', () => {
    expect(isAnchored({ kind: 'rolling', spanMs: HOUR })).toBe(false)
    expect(isAnchored({ kind: 'first-use', spanMs: HOUR })).toBe(true)
    expect(isAnchored(DAY)).toBe(true)
  })
})
