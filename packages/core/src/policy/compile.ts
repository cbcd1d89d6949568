import type { Limit } from '../limit.ts'
import type { FactDefinition, Phase } from './facts.ts'
import { factsRead } from './leaves.ts'
import type { Backend, Condition, Effect, Floors, Policy, Rule } from './policy.ts'

/** Moves a score where a rule's `prefer` or `avoid` does not say by how much. */
export const DEFAULT_SHIFT = 0.2

/** Draws work to a backend that is behind its floor: more than the gap between the backend that a request names (1) and the others (0.5), so that it moves even such requests. */
const FLOOR_SHIFT = 0.6

/** A floor steers from a tenth of the window on, before that a pace says little; and is spoken of from its middle on. */
const STEER_FROM = 0.1
const SPEAK_FROM = 0.5

/** The rules that `budgets`, `limits`, `floors` and `warning_threshold` stand for, in the order of the file. They print as rules of `rules:` do. */
export function compileShorthand(policy: Policy): readonly Rule[] {
  const quotas = policy.backends.flatMap((backend) => {
    const limit = policy.limits.find(({ name }) => name === backend.quota)
    return backend.kind === 'cloud' && limit !== undefined ? floorRules(backend, limit, policy.floors) : []
  })
  return [
    ...policy.limits.filter((limit) => limit.hard).map(ceilingRule),
    ...policy.limits.flatMap((limit) => warningRules(limit, policy.warningThreshold)),
    ...quotas,
    ...(quotas.length === 0 ? [] : [totalRule(policy.floors)]),
  ]
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

/** What is paid for is used: work is drawn to a backend that is behind, and eased off one that is nearly empty. */
function floorRules({ name }: Backend, quota: Limit, floors: Floors): readonly Rule[] {
  const here: Condition = { fact: 'backend', operator: 'equal', value: name }
  const elapsed = (value: number): Condition => ({ fact: 'backend.elapsed', operator: 'greaterThanInclusive', value })
  const below = (fact: string, value: number): Condition => ({ fact, operator: 'lessThan', value })
  return [
    rule(`${name} behind`, [here, elapsed(STEER_FROM), below('backend.pace', floors.backend)], {
      type: 'prefer',
      params: { by: FLOOR_SHIFT, message: `${name} is behind: its quota is used at less than ${percent(floors.backend)} of an even pace` },
    }),
    rule(`${name} low`, [here, below('backend.remaining', floors.lowRemaining)], {
      type: 'avoid',
      params: { by: DEFAULT_SHIFT, message: `${name} is low: less than ${percent(floors.lowRemaining)} is left` },
    }),
    rule(
      `${name} under-used`,
      [here, elapsed(SPEAK_FROM), below('backend.utilization', floors.backend)],
      notice('under-used', 'advice', `${name} is under-used: past the middle of its window less than ${percent(floors.backend)} of its quota is used`),
    ),
    rule(
      `${name} low-remaining`,
      [{ fact: `${quota.name}.spent`, operator: 'greaterThan', value: 1 - floors.lowRemaining }],
      notice('low-remaining', 'warning', `${name}: less than ${percent(floors.lowRemaining)} of its quota is left; load shifts away gently`, quota.name),
    ),
  ]
}

function totalRule(floors: Floors): Rule {
  return rule(
    'total too-conservative',
    [
      { fact: 'total.elapsed', operator: 'greaterThanInclusive', value: SPEAK_FROM },
      { fact: 'total.pace', operator: 'lessThan', value: floors.total },
    ],
    notice('too-conservative', 'advice', `Too conservative: all quotas together are used at less than ${percent(floors.total)} of an even pace`),
  )
}

function rule(name: string, all: readonly Condition[], event: Effect): Rule {
  return { name, conditions: { all }, event, line: undefined }
}

function notice(kind: string, severity: 'advice' | 'warning' | 'alert', message: string, limit?: string): Effect {
  return { type: 'notify', params: { kind, severity, message, ...(limit === undefined ? {} : { limit }) } }
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`
}
