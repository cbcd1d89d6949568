import { NANO_PER_USD, nanoToUsd } from '../money.ts'
import type { ByBackend, ReplayReport, ReplayRule } from './report.ts'

/** A figure under one policy, and under the other. */
export interface BeforeAfter<T> {
  readonly before: T
  readonly after: T
}

/** What a rule did under one policy and the other; null where that policy has no such rule, or it stood against nothing. */
export interface RuleChange extends BeforeAfter<ReplayRule | null> {
  readonly rule: string
}

/** Two policies over the same calls. */
export interface ReplayComparison {
  readonly before: ReplayReport
  readonly after: ReplayReport
  /** After less before. Money is exact to the nano. */
  readonly difference: {
    readonly spent_usd: number
    readonly spent_by_backend: Readonly<Record<string, number>>
    readonly utilization: number
    readonly wasted_usd: number | null
    readonly overshoot_usd: number
    readonly dry_share: number
    readonly local_share: number
    readonly refused: number
    readonly rerouted: number
    readonly value: number
  }
  /** Every rule that stood against a first choice under either, in the order of the first policy's commonest. */
  readonly rules: readonly RuleChange[]
}

export function compareReports(before: ReplayReport, after: ReplayReport): ReplayComparison {
  const names = new Set([...Object.keys(before.spent_by_backend), ...Object.keys(after.spent_by_backend)])
  return {
    before,
    after,
    difference: {
      spent_usd: lessUsd(after.spent_usd, before.spent_usd),
      spent_by_backend: Object.fromEntries([...names].map((name) => [name, lessUsd(after.spent_by_backend[name] ?? 0, before.spent_by_backend[name] ?? 0)])),
      utilization: after.utilization.total - before.utilization.total,
      wasted_usd: lessWaste(after.wasted_usd, before.wasted_usd),
      overshoot_usd: lessUsd(after.overshoot_usd, before.overshoot_usd),
      dry_share: after.dry_share - before.dry_share,
      local_share: after.local_share - before.local_share,
      refused: after.refused - before.refused,
      rerouted: after.rerouted - before.rerouted,
      value: after.value - before.value,
    },
    rules: [...new Set([...before.rules, ...after.rules].map(({ rule }) => rule))].map((rule) => ({
      rule,
      before: before.rules.find((one) => one.rule === rule) ?? null,
      after: after.rules.find((one) => one.rule === rule) ?? null,
    })),
  }
}

function lessWaste(one: ByBackend<number | null>, other: ByBackend<number | null>): number | null {
  return one.total === null || other.total === null ? null : lessUsd(one.total, other.total)
}

/** Amounts of USD are whole nano-USD: they are subtracted as such. */
function lessUsd(one: number, other: number): number {
  return nanoToUsd(Math.round(one * NANO_PER_USD) - Math.round(other * NANO_PER_USD))
}
