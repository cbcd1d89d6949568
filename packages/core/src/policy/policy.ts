import type { NanoUsd } from '../money.ts'
import type { BackendKind, Limit } from '../limit.ts'
import type { PriceOverride } from '../pricing/price-book.ts'

/** An account that serves models and has a budget. */
export interface Backend {
  readonly name: string
  readonly kind: BackendKind
  /** Whose price list applies: `anthropic`, `openai`, `google`, `moonshotai`. A local backend has none. */
  readonly provider: string | undefined
  /** The first is the default. */
  readonly models: readonly string[]
  /** Name of the limit that is this backend's quota, if it has one in an anchored window. */
  readonly quota: string | undefined
  /** What the plan costs per window of the quota, nano-USD; weighs it in the total. Undefined: the quota itself, where that is in USD. */
  readonly paidNano: NanoUsd | undefined
}

export type Operator =
  | 'equal'
  | 'notEqual'
  | 'in'
  | 'notIn'
  | 'contains'
  | 'doesNotContain'
  | 'lessThan'
  | 'lessThanInclusive'
  | 'greaterThan'
  | 'greaterThanInclusive'

export type Scalar = string | number
/** json-rules-engine's own condition form, in the subset that is accepted. */
export interface Leaf {
  readonly fact: string
  readonly operator: Operator
  readonly value: Scalar | readonly Scalar[] | { readonly fact: string }
}
export type Condition = Leaf | { readonly all: readonly Condition[] } | { readonly any: readonly Condition[] } | { readonly not: Condition }

export type EffectType = 'forbid' | 'avoid' | 'prefer' | 'notify'

/** json-rules-engine's `event`. `by` moves the score (0.2 unless given); `kind` and `severity` are for notices. */
export interface Effect {
  readonly type: EffectType
  readonly params: {
    readonly message?: string
    readonly by?: number
    readonly kind?: string
    readonly severity?: 'info' | 'advice' | 'warning' | 'alert'
    /** The limit that a shorthand rule speaks for. */
    readonly limit?: string
  }
}

export interface Rule {
  readonly name: string
  readonly conditions: Condition
  readonly event: Effect
  /** Where it comes from: the line of the policy file it stands on or was compiled from. */
  readonly line: number | undefined
}

export interface Floors {
  /** Of each backend's quota, 0 to 1. */
  readonly backend: number
  /** Of all quotas together. */
  readonly total: number
  /** Below this share of what is left, shift load away gently. */
  readonly lowRemaining: number
}

/** Where the file says something. */
export interface Origin {
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 code units. */
  readonly column: number
  /** As `budgets.daily_limit_usd`. */
  readonly path: string
}

/** What a policy file speaks of, whatever it says of it. */
export interface Outline {
  /** Its keys, rules and limits, each as a path. */
  readonly entries: ReadonlySet<string>
  /** The last of them. */
  readonly end: string
  /** Whether nothing can be missing from its last line: that has a line break, or ends with a closing bracket. */
  readonly isLastLineWhole: boolean
}

/** Everything an operator's file says, with defaults filled in. Immutable. */
export interface Policy {
  /** First 12 hex digits of the SHA-256 of the text. */
  readonly version: string
  readonly text: string
  readonly timezone: string
  readonly backends: readonly Backend[]
  /** In order of declaration: budgets, per backend, quotas and limits of backends, `limits:`. */
  readonly limits: readonly Limit[]
  readonly warningThreshold: number
  readonly hardStop: boolean
  readonly floors: Floors
  /** task type → backend → suitability, 0 to 1. */
  readonly preferences: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly prices: ReadonlyMap<string, PriceOverride>
  readonly maxOutputTokens: number
  /** The operator's own rules, in order. Shorthand rules are added by `compile`. */
  readonly rules: readonly Rule[]
  /** Where shorthand stands, by the name of its limit, or as `floors.backend`; a default stands nowhere. A policy that was not read from a file has none. */
  readonly origins?: ReadonlyMap<string, Origin>
  /** Tells a file that was cut short in the middle of a save. A policy that was not read from a file has none. */
  readonly outline?: Outline
}
