import type { Limit } from '../limit.ts'
import type { Policy } from '../policy/policy.ts'
import { formatAmount } from './amount.ts'

/** A limit that a new policy adds, drops or alters. */
export interface LimitChange {
  readonly name: string
  readonly before: Limit | undefined
  readonly after: Limit | undefined
}

/** What becomes of the limits from one policy to the next: altered and dropped ones first, then new ones. */
export function limitChanges(before: Policy, after: Policy): readonly LimitChange[] {
  const oldLimits = new Map(before.limits.map((limit) => [limit.name, limit]))
  const newLimits = new Map(after.limits.map((limit) => [limit.name, limit]))
  const names = new Set([...oldLimits.keys(), ...newLimits.keys()])
  return [...names].map((name) => ({ name, before: oldLimits.get(name), after: newLimits.get(name) })).filter((change) => !isSame(change.before, change.after))
}

/** `claude.month: 20.00/month → 15.00/month`. */
export function formatChange({ name, before, after }: LimitChange): string {
  return `${name}: ${before === undefined ? 'none' : formatAmount(before)} → ${after === undefined ? 'none' : formatAmount(after)}`
}

/**
 * Whether a new policy could be a file cut short in the middle of a save: its text is the beginning of the old one,
 * or it lacks a limit or a rule, or moves a limit by more than half or to another window, unit or scope.
 */
export function looksCutShort(before: Policy, after: Policy): boolean {
  if (before.text !== after.text && before.text.startsWith(after.text)) return true
  const rules = new Set(after.rules.map((rule) => rule.name))
  return before.rules.some((rule) => !rules.has(rule.name)) || limitChanges(before, after).some(isDrastic)
}

function isDrastic({ before, after }: LimitChange): boolean {
  if (before === undefined) return false
  if (after === undefined || !isSame({ ...before, quantity: after.quantity }, after)) return true
  return Math.abs(after.quantity - before.quantity) > before.quantity / 2
}

function isSame(a: Limit | undefined, b: Limit | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && formatAmount(a) === formatAmount(b) && a.hard === b.hard && scopeKey(a) === scopeKey(b))
}

function scopeKey({ scope }: Limit): string {
  return JSON.stringify([scope.backend, scope.model, scope.taskType])
}
