import type { Severity } from '../notices/notice.ts'
import type { Unit } from '../limit.ts'

/** A figure over all quotas, `total`, and of each backend that has one. */
export type ByBackend<T> = { readonly total: T } & Readonly<Record<string, T>>

/** One window of one limit, as the trace used it. Quantities in the limit's unit; USD where that is money. */
export interface ReplayWindow {
  readonly limit: string
  /** The backend whose quota it is; null for a limit that is nobody's quota. */
  readonly quota_of: string | null
  /** ISO 8601 UTC; `to` is not included. */
  readonly from: string
  readonly to: string
  /** Whether the trace leaves out a day of it or more: then it says little of how well it would have been used. */
  readonly partial: boolean
  readonly unit: Unit
  readonly quantity: number
  /** What its calls cost, also those that ended after it. */
  readonly settled: number
  /** settled ÷ quantity. */
  readonly utilization: number
  /** Of a quota: what was left of it, by what is paid for it. Null where neither is money, and for other limits. */
  readonly wasted_usd: number | null
  /** How far settled and held together went above it at most. */
  readonly overshoot: number
}

/** What a rule did to first choices: the backend that a call named, else the one that its task type prefers most. */
export interface ReplayRule {
  /**
   * Name of a rule, or of the limit that had no room; else `pacing`, `room for a part` (a limit would have cut its answer short), `price unknown`, `outage`,
   * `cloud calls stopped`, or `score` (another suits better).
   */
  readonly rule: string
  /** Calls that nobody took, went to another cloud backend, and went local on account of it. A call may count for several rules. */
  readonly refused: number
  readonly rerouted: number
  readonly local: number
  /** What those calls cost where they went. */
  readonly spent_usd: number
}

export interface ReplayAlert {
  readonly time: string
  readonly kind: string
  readonly scope: string
  readonly severity: Severity
  readonly text: string
}

/** How a quota was used as time went by: for a plot. Shares of the quota's window under way. */
export interface ReplayCourse {
  readonly backend: string
  readonly at: readonly string[]
  readonly utilization: readonly number[]
  /** The share of the window's time that had passed. */
  readonly elapsed: readonly number[]
}

/** What a policy would have made of a trace. Field names are stable. The same trace, policy and options give the same report, byte for byte. */
export interface ReplayReport {
  /** Version of the policy. */
  readonly policy: string
  readonly timezone: string
  /** Time of the first call, and when the last one ended. ISO 8601 UTC. */
  readonly from: string
  readonly to: string
  readonly calls: number
  /** From the first call to the end of the last, in the trace's own time: how long the replay took is no property of the trace. */
  readonly elapsed_ms: number
  /** List price of all calls. */
  readonly spent_usd: number
  /** By the backend that served. */
  readonly spent_by_backend: Readonly<Record<string, number>>
  readonly served_by_backend: Readonly<Record<string, number>>
  /** settled ÷ quota, over all windows of the quota that the trace touches; `total` weighs quotas by what is paid for them. */
  readonly utilization: ByBackend<number>
  /** What was left of those windows, by what is paid for them. Null for a quota that is no money and of which `paid` is not given. */
  readonly wasted_usd: ByBackend<number | null>
  /** The most by which settled and held spend together stood above a hard limit in USD, at any time. 0: never. */
  readonly overshoot_usd: number
  /** Share of the calls whose most preferred cloud backend had no room for the whole of them. */
  readonly dry_share: number
  /** Share of the calls that a local backend served. */
  readonly local_share: number
  /** Calls that nobody took. */
  readonly refused: number
  /** Calls that named a backend or model and were served by another. */
  readonly rerouted: number
  /** Calls whose output a limit cut short. */
  readonly shortened: number
  /** Mean preference of the backend that served, 0 to 1; 0 for a call that was refused. */
  readonly value: number
  /** Backends and models that calls named and the policy does not have, and how many: they were decided as if they named none. */
  readonly not_in_policy: Readonly<Record<string, number>>
  /** What the trace holds and was not replayed, and how often. */
  readonly left_out: Readonly<Record<string, number>>
  /** What was replayed less than exactly, in sentences. */
  readonly notes: readonly string[]
  /** Every notice, in order. */
  readonly alerts: readonly ReplayAlert[]
  /** Every anchored window of every limit, in order of their ends. */
  readonly windows: readonly ReplayWindow[]
  /** What stood against first choices, the commonest first. */
  readonly rules: readonly ReplayRule[]
  readonly course: readonly ReplayCourse[]
}
