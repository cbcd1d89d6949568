import { SCENARIOS, type Forecast } from './forecast.ts'
import type { LimitStanding } from './horizon.ts'

/** What is to be said of a quota: for reasons, alerts and reports. Quantities in the quota's unit. */
export interface Outlook {
  /** Index of the limit in the plan. */
  readonly limit: number
  readonly quantity: number
  readonly used: number
  /** Share of the window's expected demand that has passed, 0 to 1: `utilization ÷ share` is the pace. */
  readonly share: number
  /** The same by the middle scenario instead of the mean one, which busy outcomes raise. */
  readonly likelyShare: number
  /** Use at the window's end if work goes on being routed as it was in this window, and what then finds no room elsewhere comes here: the tenth, half and nine tenths of outcomes. */
  readonly low: number
  readonly expected: number
  readonly high: number
  /** Requests that are expected until the window ends, wherever they go, and what one takes of this quota on average. */
  readonly ahead: number
  readonly meanDraw: number
  /** Chance that less than the floor will have been used, 0 to 1, between the scenarios in proportion. */
  readonly belowFloor: number
}

/** A quota and what a request takes of it on average. */
export interface QuotaView {
  readonly limit: number
  readonly standing: LimitStanding
  readonly forecast: Forecast
  readonly meanDraw: number
  readonly floor: number
}

/** Looks ahead to the ends of the quotas' windows, one scenario of demand at a time. */
export function outlooksOf(quotas: readonly QuotaView[]): readonly Outlook[] {
  const scenarios = SCENARIOS.map((_, scenario) => endsIn(scenario, quotas))
  return quotas.map(({ limit, standing: { quantity, used }, forecast, meanDraw, floor }, index) => {
    const ends = scenarios.map((scenario) => scenario[index] ?? used).sort((a, b) => a - b)
    return {
      limit,
      quantity,
      used,
      share: forecast.share,
      likelyShare: likelyShareOf(forecast),
      ahead: forecast.mean,
      meanDraw,
      low: ends.at(0) ?? used,
      expected: ends.at(ends.length >> 1) ?? used,
      high: ends.at(-1) ?? used,
      belowFloor: chanceBelow(floor * quantity, ends),
    }
  })
}

function likelyShareOf({ seen, scenarios, share }: Forecast): number {
  const remaining = scenarios[scenarios.length >> 1] ?? 0
  return seen + remaining > 0 ? seen / (seen + remaining) : share
}

/** The quantile at which `ends`, one for each scenario, cross a quantity. */
function chanceBelow(quantity: number, ends: readonly number[]): number {
  let [chance, from] = [0, 0]
  for (const [scenario, end] of ends.entries()) {
    const quantile = SCENARIOS[scenario] ?? 1
    if (end >= quantity) return scenario === 0 || end === from ? chance : chance + ((quantile - chance) * (quantity - from)) / (end - from)
    ;[chance, from] = [quantile, end]
  }
  return 1
}

/** Use at the end of each quota's window in one scenario. What does not fit in one quota spills over to the others, by the room that they have. */
function endsIn(scenario: number, quotas: readonly QuotaView[]): readonly number[] {
  let spilled = 0
  let room = 0
  const alone = quotas.map(({ standing: { quantity, used }, forecast, meanDraw }) => {
    const perRequest = forecast.seen > 0 ? used / forecast.seen : meanDraw / quotas.length
    const end = used + perRequest * (forecast.scenarios[scenario] ?? 0)
    // In requests, since a request takes more of one quota than of another.
    if (meanDraw > 0) {
      spilled += Math.max(0, end - quantity) / meanDraw
      room += Math.max(0, quantity - end) / meanDraw
    }
    return { end, quantity }
  })
  const filled = room > 0 ? Math.min(1, spilled / room) : 0
  return alone.map(({ end, quantity }) => (end >= quantity ? quantity : end + filled * (quantity - end)))
}
