import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatWindow, parseWindow } from './window-text.ts'
import { QUARTER_MS, type Window } from './windows.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

describe('parseWindow', () => {
  test.each<[string, Window]>([
    ['day', { kind: 'day' }],
    ['week', { kind: 'week', weekday: 1, minute: 0 }],
    ['month', { kind: 'month', day: 1 }],
    ['quarter', { kind: 'quarter' }],
    ['year', { kind: 'year' }],
    ['month@15', { kind: 'month', day: 15 }],
    ['month@31', { kind: 'month', day: 31 }],
    ['week@Mon 09:00', { kind: 'week', weekday: 1, minute: 540 }],
    ['week@mon 9:15', { kind: 'week', weekday: 1, minute: 555 }],
    ['week@SUN', { kind: 'week', weekday: 7, minute: 0 }],
    ['week@Sat 23:45', { kind: 'week', weekday: 6, minute: 1425 }],
    ['5h@first-use', { kind: 'first-use', spanMs: 5 * HOUR }],
    ['7d@first-use', { kind: 'first-use', spanMs: 7 * DAY }],
    ['90m@first-use', { kind: 'first-use', spanMs: 1.5 * HOUR }],
    ['5h', { kind: 'rolling', spanMs: 5 * HOUR }],
    ['7d', { kind: 'rolling', spanMs: 7 * DAY }],
    ['45m', { kind: 'rolling', spanMs: 45 * 60_000 }],
    ['15m', { kind: 'rolling', spanMs: QUARTER_MS }],
    ['366d', { kind: 'rolling', spanMs: 366 * DAY }],
  ])('reads %s', (text, window) => {
    expect(parseWindow(text)).toEqual(window)
  })

  test.each([
    '',
    ' day',
    'day ',
    'Day',
    'days',
    'constructor',
    'month@0',
    'month@32',
    'month@',
    'month@1.5',
    'month@-1',
    'week@',
    'week@Monday',
    'week@Foo',
    'Week@Mon',
    'week@Mon 09:10',
    'week@Mon 24:00',
    'week@Mon 09',
    'week@Mon09:00',
    'week@Mon 09:60',
    '0m',
    '14m',
    '16m',
    '100m',
    '0d',
    '367d',
    '8785h',
    '9999999m',
    '5',
    'h',
    '5s',
    '5w',
    '1.5h',
    '-5h',
    '5h@firstuse',
    '5h@first-use ',
    '5h@Mon',
    'day@first-use',
  ])('refuses %j', (text) => {
    expect(parseWindow(text)).toBeUndefined()
  })
})

describe('formatWindow', () => {
  test.each([
    ['month@1', 'month'],
    ['month@01', 'month'],
    ['week@Mon', 'week'],
    ['week@mon 00:00', 'week'],
    ['week@sun 0:00', 'week@Sun'],
    ['week@mon  9:00', 'week@Mon 09:00'],
    ['300m@first-use', '5h@first-use'],
    ['24h', '1d'],
    ['90m', '90m'],
  ])('writes %s in its shortest form, %s', (text, short) => {
    const window = parseWindow(text)
    expect(window && formatWindow(window)).toBe(short)
  })

  test('is the inverse of parseWindow', () => {
    const span = fc.integer({ min: 1, max: 366 * 96 }).map((quarters) => quarters * QUARTER_MS)
    const window: fc.Arbitrary<Window> = fc.oneof(
      fc.constantFrom<Window[]>({ kind: 'day' }, { kind: 'quarter' }, { kind: 'year' }),
      fc.record({ kind: fc.constant('month' as const), day: fc.integer({ min: 1, max: 31 }) }),
      fc.record({ kind: fc.constant('week' as const), weekday: fc.integer({ min: 1, max: 7 }), minute: fc.integer({ min: 0, max: 95 }).map((n) => n * 15) }),
      fc.record({ kind: fc.constantFrom('first-use' as const, 'rolling' as const), spanMs: span }),
    )
    fc.assert(
      fc.property(window, (value) => {
        expect(parseWindow(formatWindow(value))).toEqual(value)
      }),
      { numRuns: 2000 },
    )
  })
})
