import { expect, test } from 'vitest'
import type { Limit } from '../limit.ts'
import { compileShorthand, phaseOf } from './compile.ts'
import { factCatalogue } from './facts.ts'
import type { Condition, EffectType, Policy, Rule } from './policy.ts'

const month = { kind: 'month', day: 1 } as const
const usd = (name: string, dollars: number, rest: Partial<Limit> = {}): Limit => ({
  name,
  quantity: dollars * 1e9,
  unit: 'usd',
  window: month,
  scope: {},
  hard: true,
  ...rest,
})

/** The brief's own block: a daily and a monthly limit, four backends by the month. */
function briefPolicy(limits?: readonly Limit[]): Policy {
  const monthly = { claude: 20, kimi: 15, gpt: 10, gemini: 5 }
  return {
    version: 'brief',
    text: '',
    timezone: 'UTC',
    backends: [
      ...Object.keys(monthly).map((name) => ({
        name,
        kind: 'cloud' as const,
        provider: undefined,
        models: [name],
        quota: `${name}.month`,
        paidNano: undefined,
      })),
      { name: 'local', kind: 'local', provider: undefined, models: ['llama'], quota: undefined, paidNano: undefined },
    ],
    limits: limits ?? [
      usd('all.day', 5, { window: { kind: 'day' } }),
      usd('all.month', 50),
      ...Object.entries(monthly).map(([backend, dollars]) => usd(`${backend}.month`, dollars, { scope: { backend } })),
    ],
    warningThreshold: 0.8,
    hardStop: true,
    floors: { backend: 0.5, total: 0.7, lowRemaining: 0.1 },
    preferences: new Map(),
    prices: new Map(),
    maxOutputTokens: 8192,
    rules: [],
  }
}

const named = (rules: readonly Rule[], name: string): Rule | undefined => rules.find((rule) => rule.name === name)

test('the brief’s block compiles to a ceiling and a warning for each limit; floors are no rules', () => {
  expect(compileShorthand(briefPolicy()).map((rule) => `${rule.event.type} ${rule.name}`)).toEqual([
    ...['all.day', 'all.month', 'claude.month', 'kimi.month', 'gpt.month', 'gemini.month'].map((limit) => `forbid ${limit}`),
    ...['all.day', 'all.month', 'claude.month', 'kimi.month', 'gpt.month', 'gemini.month'].map((limit) => `notify ${limit} near`),
  ])
})

test('a limit of one backend forbids that backend, a limit of all every cloud backend', () => {
  const rules = compileShorthand(briefPolicy())
  expect(named(rules, 'claude.month')).toEqual({
    name: 'claude.month',
    conditions: {
      all: [
        { fact: 'backend', operator: 'equal', value: 'claude' },
        { fact: 'claude.month.used', operator: 'greaterThan', value: 1 },
      ],
    },
    event: { type: 'forbid', params: { limit: 'claude.month', message: 'claude.month has no room for this call' } },
    line: undefined,
  })
  expect(named(rules, 'all.day')?.conditions).toEqual({
    all: [
      { fact: 'backend_kind', operator: 'equal', value: 'cloud' },
      { fact: 'all.day.used', operator: 'greaterThan', value: 1 },
    ],
  })
})

test('limits of a model and of a task type ask for these', () => {
  const limits = [
    usd('opus', 3, { scope: { model: 'opus-4' } }),
    usd('bulk', 3, { scope: { taskType: 'bulk' } }),
    usd('both', 3, { scope: { backend: 'gpt', model: 'm', taskType: 't' } }),
  ]
  const scopes = compileShorthand(briefPolicy(limits))
    .filter((rule) => rule.event.type === 'forbid')
    .map((rule) => ('all' in rule.conditions ? rule.conditions.all.flatMap((leaf) => ('fact' in leaf ? leaf.fact : [])) : []))
  expect(scopes).toEqual([
    ['model', 'opus.used'],
    ['backend_kind', 'task_type', 'bulk.used'],
    ['backend', 'model', 'task_type', 'both.used'],
  ])
})

test('a limit that is not hard forbids nothing and says when it is reached', () => {
  const rules = compileShorthand(briefPolicy([usd('soft', 3, { hard: false })]))
  expect(rules.map((rule) => [rule.event.type, rule.event.params.kind, rule.event.params.severity])).toEqual([
    ['notify', 'limit-near', 'warning'],
    ['notify', 'limit-reached', 'alert'],
  ])
})

test('rules of the shorthand are standing but for ceilings', () => {
  const policy = briefPolicy()
  const catalogue = factCatalogue(policy.limits.map((limit) => limit.name))
  const dispatch = compileShorthand(policy).filter((rule) => phaseOf(rule, catalogue) === 'dispatch')
  expect(dispatch.map((rule) => rule.name)).toEqual(policy.limits.map((limit) => limit.name))
})

test.each<[EffectType, Condition, 'dispatch' | 'standing']>([
  ['prefer', { all: [{ fact: 'hour', operator: 'greaterThan', value: 20 }] }, 'standing'],
  ['forbid', { all: [{ fact: 'hour', operator: 'greaterThan', value: 20 }] }, 'dispatch'],
  ['notify', { any: [{ not: { fact: 'task_type', operator: 'equal', value: 'bulk' } }] }, 'dispatch'],
  ['notify', { all: [{ fact: 'all.day.spent', operator: 'greaterThan', value: { fact: 'all.day.used' } }] }, 'dispatch'],
  [
    'avoid',
    {
      all: [
        { fact: 'backend', operator: 'equal', value: 'gpt' },
        { fact: 'backend.pace', operator: 'greaterThan', value: 1.2 },
      ],
    },
    'standing',
  ],
])('%s where %j is a %s rule', (type, conditions, phase) => {
  expect(phaseOf({ name: '', conditions, event: { type, params: {} }, line: undefined }, factCatalogue(['all.day']))).toBe(phase)
})
