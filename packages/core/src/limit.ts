import type { Bounds, Window } from './windows.ts'

/** What a limit counts. A quantity is nano-USD, tokens (input + output) or requests. */
export type Unit = 'usd' | 'tokens' | 'requests'

/** A quantity of a unit per window: `20.00/month` is `{ quantity: 20e9, unit: 'usd', window: { kind: 'month', day: 1 } }`. */
export interface Amount {
  readonly quantity: number
  readonly unit: Unit
  readonly window: Window
}

/** Which calls a limit covers. Without `backend` and `model`: the calls of every cloud backend. */
export interface Scope {
  readonly backend?: string
  readonly model?: string
  readonly taskType?: string
}

/** An amount per window for a scope. `hard` limits are enforced by the ledger; others only warn. */
export interface Limit extends Amount {
  readonly name: string
  readonly scope: Scope
  readonly hard: boolean
}

export type BackendKind = 'cloud' | 'local'

/** The part of a call that decides which limits cover it. */
export interface CallScope {
  readonly backend: string
  readonly kind: BackendKind
  readonly model: string
  readonly taskType: string
}

/** What one call takes from limits: at most (an estimate) or in truth (a settlement). Integers. */
export interface Quantities {
  readonly costNano: number
  readonly tokens: number
  readonly requests: number
}

/** What a provider says was used of a quota in the window under way. */
export interface Reading {
  /** Used beside this ledger, in the limit's unit: what the provider counts and the ledger does not. */
  readonly beside: number
  /** As the provider says it: a share of the quota. */
  readonly used: number
  /** When it was so, ISO 8601 UTC. */
  readonly at: string
  /** Who says so. */
  readonly source: string
  /** When the window ends that it speaks of: from then on it says nothing. Ms since the epoch. */
  readonly untilMs: number
}

/** The standing of one limit in its current window. All quantities in the limit's unit. `settled + held + presumed + beside + free = quantity`. */
export interface MeterState {
  readonly limit: Limit
  /** What calls of this window have cost. */
  readonly settled: number
  /** Set aside for dispatches under way. */
  readonly held: number
  /** Holds that a crash left open: counted as used, never as spent. */
  readonly presumed: number
  /** Used beside the ledger, by the last {@link reading}; 0 where there is none. */
  readonly beside: number
  /** The provider's last word on this limit in this window. */
  readonly reading: Reading | undefined
  /** The window that `settled` counts; for a rolling window the span that ends now; undefined for a `first-use` window that has not begun. */
  readonly bounds: Bounds | undefined
  /**
   * The earliest time at which `quantity` fits when nothing more is used and holds come back: now, or when enough has left the window.
   * Ms since the epoch; undefined when the limit is smaller than `quantity`.
   */
  roomAt(quantity: number): number | undefined
}

export function covers(scope: Scope, call: CallScope): boolean {
  if (scope.backend !== undefined) {
    if (scope.backend !== call.backend) return false
  } else if (scope.model === undefined && call.kind === 'local') return false
  if (scope.model !== undefined && scope.model !== call.model) return false
  return scope.taskType === undefined || scope.taskType === call.taskType
}

export function quantityOf(unit: Unit, quantities: Quantities): number {
  if (unit === 'usd') return quantities.costNano
  return unit === 'tokens' ? quantities.tokens : quantities.requests
}

/** What is left of a limit, in its unit. Negative when the truth came out above a hold, or when the limit is not hard. */
export function freeOf(meter: MeterState): number {
  return meter.limit.quantity - claimedOf(meter)
}

/** What counts as used of a limit: settled, held, presumed spent, and used beside the ledger. */
export function claimedOf({ settled, held, presumed, beside }: MeterState): number {
  return settled + held + presumed + beside
}
