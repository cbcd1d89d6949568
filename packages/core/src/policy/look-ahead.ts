import type { LimitStanding } from './horizon.ts'
import type { Outlook } from './outlook.ts'
import { Pacing, type PacingState } from './pacing.ts'
import type { PacingPlan } from './pacing-plan.ts'

/** What the quotas of a plan are heading for as of now, by the name of the limit. Changes nothing. Empty while no request has been seen. */
export function lookAhead(plan: PacingPlan, state: PacingState, standings: readonly LimitStanding[], nowMs: number): ReadonlyMap<string, Outlook> {
  const pacing = new Pacing(plan, structuredClone(state))
  // The first step looks ahead, those after it work out prices.
  pacing.solve(standings, nowMs, []).next()
  return outlooksByName(pacing)
}

/** As of the last solve. */
export function outlooksByName({ plan, outlooks }: Pacing): ReadonlyMap<string, Outlook> {
  return new Map(outlooks.map((outlook) => [plan.limits[outlook.limit]?.name ?? '', outlook]))
}
