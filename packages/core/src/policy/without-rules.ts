import type { Backend, Rule } from './policy.ts'
import { shiftOf, type RuleSet } from './rule-set.ts'

/** The same rules on the same facts, judging as if some were not there: for what would be decided without them. */
export function withoutRules(rules: RuleSet, gone: ReadonlySet<Rule>): RuleSet {
  const isKept = (rule: Rule | undefined): boolean => rule !== undefined && !gone.has(rule)
  const moving = (backend: Backend): readonly Rule[] => rules.moving(backend).filter(isKept)
  return {
    rules: rules.rules,
    standingByTime: rules.standingByTime,
    begin: (request, meters) => rules.begin(request, meters),
    standing: (nowMs, meters) => rules.standing(nowMs, meters).filter(({ rule }) => isKept(rule)),
    explain: async (candidate) => (await rules.explain(candidate)).filter(({ rule }) => isKept(rule)),
    facts: (candidate) => rules.facts(candidate),
    moving,
    judge: (candidate) => {
      const matched = rules.judge(candidate).matched.filter((index) => isKept(rules.rules[index]))
      const effective = matched.flatMap((index) => rules.rules[index] ?? [])
      const shift = [...moving(candidate.backend), ...effective].reduce((sum, rule) => sum + shiftOf(rule), 0)
      return { matched, shift, forbidden: effective.some(({ event }) => event.type === 'forbid') }
    },
  }
}
