import { describe, expect, it } from 'vitest'
import { demandByPeriod, forecastAll } from './demand.ts'
import { countDemand, emptyHistory, Forecaster, SCENARIOS } from './forecast.ts'
import { horizonOf, type LimitStanding } from './horizon.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.parse('2026-04-01T00:00:00Z')
const NOW_MS = START_MS + 2 * DAY_MS

const window = (days: number): LimitStanding => ({ quantity: 100, used: 0, bounds: { startMs: START_MS, endMs: START_MS + days * DAY_MS } })

/** By scenario, by period. */
function demandOf(standings: readonly LimitStanding[]): { readonly demand: readonly (readonly number[])[]; readonly hedged: readonly (readonly number[])[] } {
  const history = emptyHistory()
  for (let hour = -26 * 24; hour < 2 * 24; hour += 1) countDemand(history, START_MS + hour * HOUR_MS, 100)
  const forecaster = new Forecaster(history, NOW_MS, 100)
  const forecasts = forecastAll(forecaster, standings)
  const horizon = horizonOf(standings, NOW_MS, [])
  return {
    demand: SCENARIOS.map((_, scenario) => demandByPeriod(horizon, standings, forecasts, forecaster, scenario)),
    hedged: forecasts.map(({ hedged }) => hedged),
  }
}

const ranksOf = (figures: readonly number[]): readonly number[] => figures.map((figure) => figures.filter((other) => other < figure).length)

/** Twice the sum of products of ranks around their mean: 0 where they have nothing to do with each other. */
const likeness = (one: readonly number[], other: readonly number[]): number =>
  ranksOf(one).reduce((sum, rank, k) => sum + (rank - 2) * (ranksOf(other)[k]! - 2), 0)

describe('demand by period', () => {
  it('is what the window foresees where there is one', () => {
    const { demand, hedged } = demandOf([window(30), window(30)])
    expect(demand.map((periods) => periods.length)).toEqual([1, 1, 1, 1, 1])
    demand.forEach(([requests], scenario) => expect(requests).toBeCloseTo(hedged[0]![scenario]!))
  })

  it('has each outcome of the week under way once, and quiet weeks in busy months as often as not', () => {
    const { demand, hedged } = demandOf([window(7), window(30)])
    const week = demand.map(([requests]) => requests!)
    const later = demand.map(([, ...rest]) => rest.reduce((sum, requests) => sum + requests, 0))
    week.toSorted((a, b) => a - b).forEach((requests, k) => expect(requests).toBeCloseTo(hedged[0]![k]!))
    // 5 of the 28 days that are left are the week's.
    later.forEach((requests, scenario) => expect(requests).toBeCloseTo((hedged[1]![scenario]! * 23) / 28))
    expect(likeness(week, later)).toBe(0)
  })

  it('tells the hours under way from the week, and the week from the month', () => {
    const { demand, hedged } = demandOf([window(30), window(2.2), window(7)])
    const [hours, week, later] = [0, 1, 2].map((period) => demand.map((periods) => periods[period]!))
    expect(hours?.toSorted((a, b) => a - b)).toEqual(hedged[1]!.map((requests) => Math.max(1, requests)))
    expect(likeness(hours!, week!)).toBe(0)
    expect(likeness(week!, later!)).toBe(0)
  })
})
