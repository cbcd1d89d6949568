import { describe, expect, it } from 'vitest'
import { formatChange, limitChanges, looksCutShort } from './changes.ts'
import { parsePolicy } from './parse.ts'

const RULE = 'rules: [{ name: r, conditions: { all: [{ fact: hour, operator: equal, value: 3 }] }, event: { type: forbid } }]\n'

function policyOf(text: string) {
  const parsed = parsePolicy(text, 'v')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.policy
}

function cutShort(before: string, after: string): boolean {
  return looksCutShort(policyOf(before), policyOf(after))
}

describe('A new policy looks cut short', () => {
  it.each([
    ['when it drops a limit', 'budgets: { daily_limit_usd: 5, monthly_limit_usd: 50 }', 'budgets: { monthly_limit_usd: 50 }'],
    ['when it drops a rule', `${RULE}timezone: UTC`, 'timezone: UTC'],
    ['when it raises a limit by more than half', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 7.51 }'],
    ['when it lowers a limit by more than half', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 2.49 }'],
    ['when it opens a limit of nothing', 'budgets: { per_backend: { gpt: 0/day } }', 'budgets: { per_backend: { gpt: 1/day } }'],
    ['when a quota moves to another window', 'backends: { gpt: { quota: 5/day } }', 'backends: { gpt: { quota: 5/month } }'],
    ['when a limit moves to another scope', 'limits: [{ name: x, amount: 5/day, backend: gpt }]', 'limits: [{ name: x, amount: 5/day, backend: kimi }]'],
    ['when limits are no longer hard', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 5, hard_stop: false }'],
    ['when it is the beginning of the old text', `budgets: { daily_limit_usd: 5 }\nfloors: { total: 0.9 }\n`, 'budgets: { daily_limit_usd: 5 }\n'],
  ])('%s', (_when, before, after) => {
    expect(cutShort(before, after)).toBe(true)
  })

  it.each([
    ['when nothing changes', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 5 }'],
    ['when it moves a limit by half', 'budgets: { daily_limit_usd: 5 }', 'budgets: { daily_limit_usd: 7.5 }'],
    ['when it adds a limit and a rule', 'budgets: { daily_limit_usd: 5 }', `budgets: { daily_limit_usd: 5, monthly_limit_usd: 50 }\n${RULE}`],
  ])('but not %s', (_when, before, after) => {
    expect(cutShort(before, after)).toBe(false)
  })

  it('says what becomes of each limit, old → new', () => {
    const before = policyOf('budgets: { daily_limit_usd: 5, monthly_limit_usd: 50 }')
    const after = policyOf('budgets: { daily_limit_usd: 6, per_backend: { gpt: 900k tokens/day } }')
    expect(limitChanges(before, after).map(formatChange)).toEqual([
      'all.day: 5.00/day → 6.00/day',
      'all.month: 50.00/month → none',
      'gpt.day.tokens: none → 900k tokens/day',
    ])
    expect(limitChanges(before, before)).toEqual([])
  })
})
