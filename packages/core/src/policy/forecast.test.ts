import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countDemand, emptyHistory, Forecaster, FORECAST, type DemandHistory } from './forecast.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.parse('2026-04-01T00:00:00Z')
const MONTH = { startMs: START_MS, endMs: START_MS + 30 * DAY_MS }

/** `perHour` requests in each hour of these days, counted from the start of the month. */
function steady(fromDay: number, toDay: number, perHour: number): DemandHistory {
  const history = emptyHistory()
  for (let hour = fromDay * 24; hour < toDay * 24; hour += 1) countDemand(history, START_MS + hour * HOUR_MS, perHour)
  return history
}

describe('the forecast', () => {
  it('takes what the quotas can take for the demand when nothing has been seen', () => {
    const { mean, share, seen, scenarios } = new Forecaster(emptyHistory(), START_MS, 100).remaining(MONTH)
    expect(seen).toBe(0)
    expect(share).toBe(0)
    expect(mean).toBeGreaterThan(50 * 720)
    expect(mean).toBeLessThan(250 * 720)
    // It knows that it does not know.
    expect(scenarios.at(-1)! / scenarios[0]!).toBeGreaterThan(3)
  })

  it('comes to believe what it sees, against what the quotas suggest', () => {
    const at = (day: number, perHour: number): number =>
      new Forecaster(steady(-30, day, perHour), START_MS + day * DAY_MS, 100).remaining(MONTH).scenarios[2]! / ((30 - day) * 24)
    expect(at(15, 20)).toBeGreaterThan(15)
    expect(at(15, 20)).toBeLessThan(35)
    expect(at(15, 300)).toBeGreaterThan(200)
    expect(at(15, 300)).toBeLessThan(330)
  })

  it('is surer at the end of a window than at its start', () => {
    const spread = (day: number): number => {
      const { scenarios, seen } = new Forecaster(steady(-30, day, 100), START_MS + day * DAY_MS, 100).remaining(MONTH)
      return (scenarios.at(-1)! - scenarios[0]!) / (seen + scenarios[2]!)
    }
    expect(spread(25)).toBeLessThan(spread(10))
    expect(spread(10)).toBeLessThan(spread(1))
  })

  it('knows a week far worse than a month, as busy and quiet days hardly even out in it', () => {
    const spread = (days: number): number => {
      const { scenarios } = new Forecaster(steady(-30, 0, 100), START_MS, 100).remaining({ startMs: START_MS, endMs: START_MS + days * DAY_MS })
      return Math.log(scenarios.at(-1)! / scenarios[0]!)
    }
    expect(spread(7)).toBeGreaterThan(2 * spread(30))
  })

  it('hedges against less demand than it tells of, the more so the less time there is to make it good', () => {
    const lowest = (day: number): number => {
      const { scenarios, hedged } = new Forecaster(steady(-30, day, 100), START_MS + day * DAY_MS, 100).remaining(MONTH)
      expect(hedged.slice(1)).toEqual(scenarios.slice(1))
      return hedged[0]! / scenarios[0]!
    }
    expect(lowest(0)).toBeLessThan(0.95)
    expect(lowest(15)).toBeLessThan(0.75)
    expect(lowest(28)).toBeLessThan(0.4)
  })

  it('has nothing to come after the end', () => {
    const forecast = new Forecaster(steady(0, 30, 10), MONTH.endMs, 10).remaining(MONTH)
    expect(forecast.mean).toBe(0)
    expect(forecast.share).toBe(1)
  })

  it('gives ascending, finite, positive scenarios whatever the history', () => {
    const counts = fc.array(fc.tuple(fc.integer({ min: -40 * 24, max: 29 * 24 }), fc.integer({ min: 1, max: 100_000 })), { maxLength: 60 })
    fc.assert(
      fc.property(counts, fc.double({ min: 0, max: 30, noNaN: true }), fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (rows, day, capacity) => {
        const history = emptyHistory()
        const nowMs = START_MS + day * DAY_MS
        for (const [hour, requests] of rows.toSorted((a, b) => a[0] - b[0])) {
          if (START_MS + hour * HOUR_MS <= nowMs) countDemand(history, START_MS + hour * HOUR_MS, requests)
        }
        const { scenarios, hedged, mean, share } = new Forecaster(history, nowMs, capacity).remaining(MONTH)
        for (const figure of [...scenarios, ...hedged, mean, share]) expect(figure).toSatisfy((x: number) => Number.isFinite(x) && x >= 0)
        for (const ascending of [scenarios, hedged]) expect(ascending).toEqual(ascending.toSorted((a, b) => a - b))
        expect(hedged[0]).toBeLessThanOrEqual(scenarios[0]!)
      }),
    )
  })

  it('remembers a quarter at most, silent hours included', () => {
    const history = emptyHistory()
    countDemand(history, START_MS)
    countDemand(history, START_MS + 10 * HOUR_MS)
    expect(history.hours).toEqual([1, ...Array.from({ length: 9 }, () => 0), 1])
    for (let hour = 11; hour < FORECAST.keptHours + 100; hour += 1) countDemand(history, START_MS + hour * HOUR_MS)
    expect(history.hours.length).toBe(FORECAST.keptHours)
    countDemand(history, START_MS + 3 * 365 * DAY_MS)
    expect(history.hours.length).toBe(FORECAST.keptHours)
    expect(history.hours.reduce((sum, count) => sum + count, 0)).toBe(1)
    expect(history.firstHour + history.hours.length - 1).toBe(Math.floor((START_MS + 3 * 365 * DAY_MS) / HOUR_MS))
  })

  it('knows the busy hours of the week', () => {
    const history = emptyHistory()
    for (let hour = -8 * 168; hour < 0; hour += 1) countDemand(history, START_MS + hour * HOUR_MS, ((hour % 24) + 24) % 24 < 12 ? 100 : 1)
    const forecaster = new Forecaster(history, START_MS, 100)
    expect(forecaster.shareUntil(START_MS + DAY_MS / 2, START_MS + DAY_MS)).toBeGreaterThan(0.7)
  })
})
