import { expect, test } from 'vitest'
import { DAY_MS, START_MS, type Month } from './month.ts'
import { reshape } from './shapes.ts'

const SIZE = 50_000
// Only the times are looked at.
const MONTH = { startMs: START_MS, endMs: START_MS + 30 * DAY_MS, size: SIZE } as unknown as Month

/** Requests a day. */
function byDay(scenario: string): Float64Array {
  const days = new Float64Array(30)
  for (const atMs of reshape(MONTH, 7, scenario).atMs) days[Math.floor((atMs - START_MS) / DAY_MS)]! += 1
  return days
}

const sum = (days: Float64Array): number => days.reduce((total, day) => total + day, 0)

test('a month of another shape keeps all its requests and goes through the same mishaps', () => {
  const [base, drop, surge, burst] = ['base', 'drop', 'surge', 'burst'].map(byDay) as [Float64Array, Float64Array, Float64Array, Float64Array]
  for (const days of [base, drop, surge, burst]) expect(sum(days)).toBe(SIZE)
  const odds = (days: Float64Array): number => sum(days.slice(18)) / sum(days.slice(0, 18))
  expect(odds(drop) / odds(base)).toBeCloseTo(0.25, 1)
  expect(odds(surge) / odds(base)).toBeCloseTo(2.5, 0)
  // Its level jumps elsewhere as well, since its chance is another.
  expect(Math.max(...burst) / sum(burst)).toBeGreaterThan(2 * (Math.max(...base) / sum(base)))
})
