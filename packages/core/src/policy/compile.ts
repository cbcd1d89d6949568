import type { Limit } from '../limit.ts'
import type { FactDefinition, Phase } from './facts.ts'
import { factsRead } from './leaves.ts'
import type { Condition, Effect, Policy, Rule } from './policy.ts'

/** Moves a score where a rule's `prefer` or `avoid` does not say by how much. */
export const DEFAULT_SHIFT = 0.2

/** The rules that `budgets`, `limits` and `warning_threshold` stand for, in the order of the file. They print as rules of `rules:` do. Floors forbid nothing and are no rules: pacing works towards them. */
export function compileShorthand(policy: Policy): readonly Rule[] {
  return [
    ...policy.limits.filter((limit) => limit.hard).map((limit) => from(policy, limit, ceilingRule(limit))),
    ...policy.limits.flatMap((limit) => warningRules(limit, policy.warningThreshold).map((rule) => from(policy, limit, rule))),
  ]
}

/** The rule with the line that the limit stands on. */
function from({ origins }: Policy, { name }: Limit, rule: Rule): Rule {
  const origin = origins?.get(name)
  return origin === undefined ? rule : { ...rule, line: origin.line }
}

/** Standing rules read only totals, time and the backend, and never forbid: they need no request. Every other rule is judged per candidate. */
export function phaseOf(rule: Rule, catalogue: ReadonlyMap<string, FactDefinition>): Phase {
  if (rule.event.type === 'forbid') return 'dispatch'
  return [...factsRead(rule.conditions)].every((fact) => catalogue.get(fact)?.phase === 'standing') ? 'standing' : 'dispatch'
}

/** Never above the limit. The ledger's own arithmetic holds to it as well. */
function ceilingRule(limit: Limit): Rule {
  return rule(limit.name, [...scopeLeaves(limit), { fact: `${limit.name}.used`, operator: 'greaterThan', value: 1 }], {
    type: 'forbid',
    params: { message: `${limit.name} has no room for this call`, limit: limit.name },
  })
}

function scopeLeaves({ scope }: Limit): readonly Condition[] {
  const leaves: Condition[] = []
  if (scope.backend !== undefined) leaves.push({ fact: 'backend', operator: 'equal', value: scope.backend })
  if (scope.model !== undefined) leaves.push({ fact: 'model', operator: 'equal', value: scope.model })
  if (leaves.length === 0) leaves.push({ fact: 'backend_kind', operator: 'equal', value: 'cloud' })
  if (scope.taskType !== undefined) leaves.push({ fact: 'task_type', operator: 'equal', value: scope.taskType })
  return leaves
}

/** A hard limit that is reached speaks for itself, by what it stops; one that is not hard has only this. */
function warningRules(limit: Limit, threshold: number): readonly Rule[] {
  const spent = (value: number): Condition => ({ fact: `${limit.name}.spent`, operator: 'greaterThanInclusive', value })
  const near = rule(`${limit.name} near`, [spent(threshold)], notice('limit-near', 'warning', `${limit.name}: ${percent(threshold)} is spent`, limit.name))
  if (limit.hard) return [near]
  return [near, rule(`${limit.name} reached`, [spent(1)], notice('limit-reached', 'alert', `${limit.name} is reached; it is not enforced`, limit.name))]
}

function rule(name: string, all: readonly Condition[], event: Effect): Rule {
  return { name, conditions: { all }, event, line: undefined }
}

function notice(kind: string, severity: 'warning' | 'alert', message: string, limit: string): Effect {
  return { type: 'notify', params: { kind, severity, message, limit } }
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`
}
