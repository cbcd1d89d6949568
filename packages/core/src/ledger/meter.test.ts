import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Limit } from '../limit.ts'
import { Calendar, QUARTER_MS, quarterOf, type Window } from '../windows.ts'
import { Meter, type Use } from './meter.ts'

const HOUR_MS = 3_600_000
const START_MS = Date.UTC(2026, 10, 20, 15)
const CALENDAR = new Calendar('America/New_York')
const WINDOWS: readonly Window[] = [
  { kind: 'day' },
  { kind: 'week', weekday: 5, minute: 630 },
  { kind: 'month', day: 21 },
  { kind: 'quarter' },
  { kind: 'year' },
  { kind: 'first-use', spanMs: 5 * HOUR_MS },
  { kind: 'rolling', spanMs: 5 * HOUR_MS },
]

function limitOf(window: Window, quantity = 1000): Limit {
  return { name: window.kind, quantity, unit: 'tokens', window, scope: {}, hard: true }
}

/** What counts at `nowMs`, by the definition of the window. */
function counted(window: Window, uses: readonly Use[], nowMs: number): readonly Use[] {
  if (window.kind === 'rolling') return uses.filter(({ atMs }) => quarterOf(atMs) + QUARTER_MS + window.spanMs > nowMs)
  let startMs = Number.NEGATIVE_INFINITY
  let endMs = Number.NEGATIVE_INFINITY
  if (window.kind === 'first-use') {
    for (const { atMs } of uses) {
      if (atMs < endMs) continue
      startMs = quarterOf(atMs)
      endMs = startMs + QUARTER_MS + window.spanMs
    }
    if (nowMs >= endMs) return []
  } else ({ startMs, endMs } = CALENDAR.bounds(window, nowMs))
  return uses.filter(({ atMs }) => atMs >= startMs && atMs < endMs)
}

const step = fc.record({
  stepMs: fc.constantFrom(0, 60_000, QUARTER_MS, HOUR_MS, 5 * HOUR_MS, 30 * HOUR_MS),
  standing: fc.constantFrom('settled' as const, 'held' as const, 'presumed' as const),
  quantity: fc.nat(100),
})

describe('a meter', () => {
  it.each(WINDOWS.map((window) => [window.kind, window] as const))('of a %s window counts by definition, running or folded', (_, window) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const running = new Meter(limitOf(window), CALENDAR, START_MS)
        const uses: Use[] = []
        let nowMs = START_MS
        for (const { stepMs, standing, quantity } of steps) {
          nowMs += stepMs
          const use = { atMs: nowMs, standing, quantity }
          uses.push(use)
          running.advance(nowMs)
          running.add(nowMs, standing, quantity)
          const folded = new Meter(limitOf(window), CALENDAR, nowMs)
          folded.fold(uses)
          const sum = (of: Use['standing']) => counted(window, uses, nowMs).reduce((total, each) => total + (each.standing === of ? each.quantity : 0), 0)
          const expected = { settled: sum('settled'), held: sum('held'), presumed: sum('presumed') }
          expect(running).toMatchObject(expected)
          expect(folded).toMatchObject(expected)
          expect(folded.bounds).toEqual(running.bounds)
        }
      }),
    )
  })

  it('leaves a settlement or release alone whose bucket has left', () => {
    for (const window of WINDOWS) {
      const meter = new Meter(limitOf(window), CALENDAR, START_MS)
      meter.add(START_MS, 'held', 10)
      meter.advance(START_MS + 400 * 24 * HOUR_MS)
      meter.settle(START_MS, 'held', 10, 8)
      meter.release(START_MS, 'held', 10)
      meter.presume(START_MS, 10)
      expect(meter).toMatchObject({ settled: 0, held: 0, presumed: 0 })
      expect(meter.counts(START_MS)).toBe(false)
    }
  })

  it('of a rolling window drops each quarter-hour when all of it has left, not before', () => {
    const meter = new Meter(limitOf({ kind: 'rolling', spanMs: HOUR_MS }), CALENDAR, START_MS)
    const lateMs = START_MS + QUARTER_MS - 1
    meter.add(START_MS, 'settled', 1)
    meter.advance(lateMs)
    meter.add(lateMs, 'settled', 2)
    meter.advance(lateMs + 1)
    meter.add(lateMs + 1, 'settled', 4)
    meter.advance(lateMs + HOUR_MS)
    expect(meter.settled).toBe(7)
    meter.advance(lateMs + HOUR_MS + 1)
    expect(meter.settled).toBe(4)
  })

  it('finds the earliest room of a rolling window when enough quarter-hours have left', () => {
    const meter = new Meter(limitOf({ kind: 'rolling', spanMs: HOUR_MS }, 100), CALENDAR, START_MS)
    for (const [index, quantity] of [40, 30, 20].entries()) {
      meter.advance(START_MS + index * QUARTER_MS)
      meter.add(START_MS + index * QUARTER_MS, 'settled', quantity)
    }
    const leaves = (index: number) => START_MS + (index + 1) * QUARTER_MS + HOUR_MS
    expect([10, 11, 50, 51, 80, 81, 100, 101].map((quantity) => meter.roomAt(quantity))).toEqual([
      START_MS + 2 * QUARTER_MS,
      leaves(0),
      leaves(0),
      leaves(1),
      leaves(1),
      leaves(2),
      leaves(2),
      undefined,
    ])
  })

  it('of a first-use span that is no whole number of quarter-hours ends late, never early', () => {
    const meter = new Meter(limitOf({ kind: 'first-use', spanMs: 61 * 60_000 }), CALENDAR, START_MS)
    meter.add(START_MS, 'settled', 1)
    expect(meter.bounds).toEqual({ startMs: START_MS, endMs: START_MS + HOUR_MS + 2 * QUARTER_MS })
  })
})
