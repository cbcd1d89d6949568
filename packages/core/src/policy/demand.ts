import type { Forecaster, HedgedForecast } from './forecast.ts'
import type { Horizon, LimitStanding } from './horizon.ts'

/**
 * Which scenario of the next shorter window comes with each of a window: an order without correlation. A quiet week says little of the rest of its month;
 * if both went by the same order, no scenario would have a week whose quota lapses in a month whose quota runs short.
 */
const APART = [3, 0, 2, 4, 1]

/** Limits with the same window share a forecast. */
export function forecastAll(forecaster: Forecaster, standings: readonly LimitStanding[]): readonly HedgedForecast[] {
  const made = new Map<string, HedgedForecast>()
  return standings.map(({ bounds }) => {
    const key = `${bounds.startMs} ${bounds.endMs}`
    let found = made.get(key)
    if (found === undefined) made.set(key, (found = forecaster.remaining(bounds)))
    return found
  })
}

/** Requests in each period of the horizon, at least 1. What a window foresees holds from the end of the next shorter one until its own. */
export function demandByPeriod(
  horizon: Horizon,
  standings: readonly LimitStanding[],
  forecasts: readonly HedgedForecast[],
  forecaster: Forecaster,
  scenario: number,
): readonly number[] {
  const limits = new Map(standings.map(({ bounds }, limit) => [bounds.endMs, limit]))
  let apart = scenario
  const windows = [...limits]
    .sort(([one], [other]) => other - one)
    .map(([endMs, limit]) => {
      const requests = forecasts[limit]?.hedged[apart] ?? 0
      apart = APART[apart] ?? apart
      return { endMs, requests }
    })
  let beforeMs = 0
  return horizon.ends.map((periodEndMs) => {
    const { endMs, requests } = windows.findLast((window) => window.endMs >= periodEndMs) ?? { endMs: periodEndMs, requests: 0 }
    const share = forecaster.shareUntil(periodEndMs, endMs) - (beforeMs > 0 ? forecaster.shareUntil(beforeMs, endMs) : 0)
    beforeMs = periodEndMs
    return Math.max(1, requests * share)
  })
}
