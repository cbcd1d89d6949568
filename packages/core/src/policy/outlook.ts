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
  /** Use at the window's end if work goes on being routed as it was in this window, and what then finds no room elsewhere comes here: the tenth, half and nine tenths of outcomes. */
  readonly low: number
  readonly expected: number
  readonly high: number
  /** Chance that less than the floor will have been used, 0 to 1, in steps of the scenarios. */
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
  const ends = SCENARIOS.map((_, scenario) => endsIn(scenario, quotas))
  const median = SCENARIOS.length >> 1
  return quotas.map(({ limit, standing: { quantity, used }, forecast, floor }, index) => {
    const outcomes = ends.map((end) => end[index]!)
    return {
      limit,
      quantity,
      used,
      share: forecast.share,
      low: outcomes[0]!,
      expected: outcomes[median]!,
      high: outcomes.at(-1)!,
      belowFloor: outcomes.filter((end) => end < floor * quantity).length / outcomes.length,
    }
  })
}

/** Use at the end of each quota's window in one scenario. What does not fit in one quota spills over to the others, by the room that they have. */
function endsIn(scenario: number, quotas: readonly QuotaView[]): readonly number[] {
  let spilled = 0
  let room = 0
  const ends = quotas.map(({ standing: { quantity, used }, forecast, meanDraw }) => {
    const end = used + (forecast.seen > 0 ? used / forecast.seen : meanDraw / quotas.length) * forecast.scenarios[scenario]!
    // In requests, since a request takes more of one quota than of another.
    if (meanDraw > 0) {
      spilled += Math.max(0, end - quantity) / meanDraw
      room += Math.max(0, quantity - end) / meanDraw
    }
    return end
  })
  const filled = room > 0 ? Math.min(1, spilled / room) : 0
  return ends.map((end, index) => {
    const { quantity } = quotas[index]!.standing
    return end >= quantity ? quantity : end + filled * (quantity - end)
  })
}
