import type { Forecast, Forecaster } from './forecast.ts'
import type { Horizon, LimitStanding } from './horizon.ts'

/** Limits with the same window share a forecast. */
export function forecastAll(forecaster: Forecaster, standings: readonly LimitStanding[]): readonly Forecast[] {
  const made = new Map<string, Forecast>()
  return standings.map(({ bounds }) => {
    const key = `${bounds.startMs} ${bounds.endMs}`
    let found = made.get(key)
    if (found === undefined) made.set(key, (found = forecaster.remaining(bounds)))
    return found
  })
}

/** Requests in each period of the horizon, at least 1. What a limit's own window foresees holds until it ends; what the longest foresees holds for the rest. */
export function demandByPeriod(
  horizon: Horizon,
  standings: readonly LimitStanding[],
  forecasts: readonly Forecast[],
  forecaster: Forecaster,
  scenario: number,
): readonly number[] {
  const ahead = new Map<number, number>()
  let endMs = 0
  standings.forEach(({ bounds }, limit) => {
    ahead.set(bounds.endMs, forecasts[limit]?.scenarios[scenario] ?? 0)
    endMs = Math.max(endMs, bounds.endMs)
  })
  const all = ahead.get(endMs) ?? 0
  let before = 0
  return horizon.ends.map((periodEndMs) => {
    const until = ahead.get(periodEndMs) ?? all * forecaster.shareUntil(periodEndMs, endMs)
    const requests = Math.max(1, until - before)
    before = Math.max(before, until)
    return requests
  })
}
