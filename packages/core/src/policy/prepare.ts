import { isoInstant } from '../instant.ts'
import { createPriceBook } from '../pricing/price-book.ts'
import { Calendar } from '../windows.ts'
import { createPlanner, type Planner } from './decide.ts'
import type { Policy } from './policy.ts'
import { createRuleSet } from './rule-set.ts'

/** A policy with all that a decision needs of it, compiled once. Immutable: a reload makes another. */
export interface PreparedPolicy {
  readonly policy: Policy
  readonly planner: Planner
  readonly calendar: Calendar
}

export async function preparePolicy(policy: Policy): Promise<PreparedPolicy> {
  const rules = await createRuleSet(policy)
  return { policy, planner: createPlanner(policy, rules, createPriceBook(policy.prices)), calendar: new Calendar(policy.timezone) }
}

/** The start of the day that `nowMs` falls in, in the policy's zone: ISO 8601 UTC. */
export function dayOf({ calendar }: PreparedPolicy, nowMs: number): string {
  return isoInstant(calendar.bounds({ kind: 'day' }, nowMs).startMs)
}
