import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MAX_NANO } from '../money.ts'
import type { Limit, MeterState, Quantities } from '../limit.ts'
import { phaseOf } from './compile.ts'
import { runFresh } from './engine.ts'
import { factCatalogue } from './facts.ts'
import type { Backend, Condition, EffectType, Leaf, Operator, Policy, Rule } from './policy.ts'
import { createRuleSet, type CandidateFacts, type RequestFacts, type RuleSet } from './rule-set.ts'

const START = Date.parse('2026-11-01T00:00:00Z')
const BOUNDS = { startMs: START, endMs: START + 100_000_000 }
const NOW = START + 50_000_000

const limit = (name: string, quantity: number, scope: Limit['scope'] = {}, rest: Partial<Limit> = {}): Limit => ({
  name,
  quantity,
  unit: 'usd',
  window: { kind: 'month', day: 1 },
  scope,
  hard: true,
  ...rest,
})
const cloud = (name: string, quota?: string, paidNano?: number): Backend => ({
  name,
  kind: 'cloud',
  provider: undefined,
  models: [`${name}-1`, `${name}-2`],
  quota,
  paidNano,
})
const LOCAL: Backend = { name: 'local', kind: 'local', provider: undefined, models: ['llama'], quota: undefined, paidNano: undefined }
const CLAUDE = cloud('claude', 'claude.month')
const GEMINI = cloud('gemini', 'gemini.day')

const LIMITS = [
  limit('all.day', 5e9),
  limit('claude.month', 20e9, { backend: 'claude' }),
  limit('gemini.day', 1500, { backend: 'gemini' }, { unit: 'requests' }),
  limit('claude.tokens', 900_000, { backend: 'claude' }, { unit: 'tokens', window: { kind: 'first-use', spanMs: 18_000_000 } }),
  limit('bulk', MAX_NANO, { taskType: 'bulk' }),
  limit('two', 3e9, { model: 'claude-2' }),
  limit('none', 0, { backend: 'gemini' }, { hard: false }),
]

const policyOf = (rules: readonly Rule[], limits: readonly Limit[] = LIMITS, backends: readonly Backend[] = [CLAUDE, GEMINI, LOCAL]): Policy => ({
  version: 'test',
  text: '',
  timezone: 'UTC',
  backends,
  limits,
  warningThreshold: 0.8,
  hardStop: true,
  floors: { backend: 0.5, total: 0.7, lowRemaining: 0.1 },
  preferences: new Map(),
  prices: new Map(),
  maxOutputTokens: 8192,
  rules,
})
const ruleOf = (type: EffectType, conditions: Condition, params: Rule['event']['params'] = {}): Rule => ({
  name: 'own',
  conditions,
  event: { type, params },
  line: undefined,
})
const meterOf = (of: Limit, settled = 0, rest: Partial<MeterState> = {}): MeterState => ({
  limit: of,
  settled,
  held: 0,
  presumed: 0,
  beside: 0,
  reading: undefined,
  bounds: BOUNDS,
  roomAt: () => undefined,
  ...rest,
})
const EMPTY = LIMITS.map((each) => meterOf(each))
const REQUEST: RequestFacts = { nowMs: NOW, taskType: 'chat', taskId: null, tags: [], inputTokens: 100 }
const asking = (costNano: number, tokens = 0, requests = 1): Quantities => ({ costNano, tokens, requests })
const candidateOf = (backend: Backend, estimate: Quantities = asking(1), model = backend.models[0] ?? ''): CandidateFacts => ({
  backend,
  model,
  maxOutputTokens: 500,
  estimate,
})

/** Meters of {@link LIMITS}, with one of them changed. */
const metersWith = (name: string, change: Partial<MeterState>): readonly MeterState[] =>
  EMPTY.map((meter) => (meter.limit.name === name ? { ...meter, ...change } : meter))

function matchedNames(rules: RuleSet, candidate: CandidateFacts): readonly string[] {
  return rules.judge(candidate).matched.map((index) => rules.rules[index]?.name ?? '?')
}

test('a limit forbids from one nano above it, holds and the estimate included', async () => {
  const rules = await createRuleSet(policyOf([]))
  rules.begin(REQUEST, metersWith('claude.month', { settled: 10e9, held: 5e9, presumed: 4e9 }))
  expect(rules.judge(candidateOf(CLAUDE, asking(1e9))).forbidden).toBe(false)
  expect(rules.judge(candidateOf(CLAUDE, asking(1e9 + 1))).forbidden).toBe(true)
  expect(matchedNames(rules, candidateOf(CLAUDE, asking(1e9 + 1)))).toContain('claude.month')
  expect(rules.judge(candidateOf(GEMINI, asking(1e9 + 1))).forbidden).toBe(false)
})

test('one nano tells even at the largest limit', async () => {
  const rules = await createRuleSet(policyOf([]))
  rules.begin({ ...REQUEST, taskType: 'bulk' }, metersWith('bulk', { settled: MAX_NANO - 1000 }))
  expect(rules.judge(candidateOf(CLAUDE, asking(1000))).forbidden).toBe(false)
  expect(rules.judge(candidateOf(CLAUDE, asking(1001))).forbidden).toBe(true)
})

test('limits count in their own unit, and only the calls that they cover', async () => {
  const rules = await createRuleSet(policyOf([]))
  rules.begin(REQUEST, EMPTY)
  expect(rules.judge(candidateOf(CLAUDE, asking(0, 900_001))).forbidden).toBe(true)
  expect(rules.judge(candidateOf(GEMINI, asking(0, 900_001))).forbidden).toBe(false)
  expect(rules.judge(candidateOf(CLAUDE, asking(4e9), 'claude-2')).forbidden).toBe(true)
  expect(rules.judge(candidateOf(CLAUDE, asking(4e9), 'claude-1')).forbidden).toBe(false)
  expect(rules.judge(candidateOf(LOCAL, asking(99e9))).forbidden).toBe(false)
})

test('a limit of nothing forbids all that costs anything', async () => {
  const rules = await createRuleSet(policyOf([], [limit('zero', 0)]))
  rules.begin(REQUEST, [meterOf(limit('zero', 0))])
  expect(rules.judge(candidateOf(CLAUDE, asking(0))).forbidden).toBe(false)
  expect(rules.judge(candidateOf(CLAUDE, asking(1))).forbidden).toBe(true)
})

test('facts are what the design says they are', async () => {
  const rules = await createRuleSet(policyOf([]))
  const meters = metersWith('claude.month', { settled: 5e9, held: 1e9 })
  rules.begin({ ...REQUEST, taskType: null, tags: ['vip'] }, meters)
  expect(rules.facts(candidateOf(CLAUDE, asking(4e9, 90_000)))).toMatchObject({
    backend: 'claude',
    backend_kind: 'cloud',
    model: 'claude-1',
    task_type: '',
    task_id: '',
    tags: ['vip'],
    input_tokens: 100,
    max_output_tokens: 500,
    estimate_usd: 4,
    hour: 13,
    weekday: 7,
    day_of_month: 1,
    'claude.month.used': 0.5,
    'claude.month.spent': 0.25,
    'claude.month.left_usd': 14,
    'gemini.day.used': 0,
    'gemini.day.left_usd': 1500,
    'backend.used': 0.5,
    'backend.remaining': 0.5,
    'backend.utilization': 0.25,
    'backend.elapsed': 0.5,
    'backend.pace': 0.5,
  })
  expect(rules.facts(candidateOf(LOCAL))).toMatchObject({
    'backend.used': 0,
    'backend.remaining': 1,
    'backend.utilization': 0,
    'backend.elapsed': 0,
    'backend.pace': 1,
  })
})

test('a quota whose window begins with its first use is on plan before it', async () => {
  const quota = limit('q', 100, { backend: 'claude' }, { unit: 'tokens', window: { kind: 'first-use', spanMs: 1 } })
  const rules = await createRuleSet(policyOf([], [quota], [cloud('claude', 'q')]))
  rules.begin(REQUEST, [meterOf(quota, 0, { bounds: undefined })])
  expect(rules.facts(candidateOf(CLAUDE))).toMatchObject({ 'backend.utilization': 0, 'backend.elapsed': 0, 'backend.pace': 1, 'total.pace': 1 })
})

test('the total weighs each quota by what is paid for it', async () => {
  const [a, b, c] = [limit('a', 30e9), limit('b', 1000, {}, { unit: 'tokens' }), limit('c', 1000, {}, { unit: 'requests' })]
  const rules = await createRuleSet(policyOf([], [a, b, c], [cloud('x', 'a'), cloud('y', 'b', 9e9), cloud('z', 'c'), cloud('unmetered')]))
  rules.begin(REQUEST, [meterOf(a, 15e9), meterOf(b, 1000), meterOf(c, 100)])
  const facts = rules.facts(candidateOf(cloud('x')))
  expect(facts['total.utilization']).toBeCloseTo((30 * 0.5 + 9 * 1 + 1 * 0.1) / 40, 12)
  expect(facts['total.elapsed']).toBeCloseTo(0.5, 12)
  expect(facts['total.pace']).toBeCloseTo((2 * (15 + 9 + 0.1)) / 40, 12)
})

test('prefer and avoid move the score by 0.2 unless they say by how much, those of standing rules included', async () => {
  const here: Condition = { all: [{ fact: 'backend', operator: 'equal', value: 'gemini' }] }
  const chat: Condition = { all: [{ fact: 'task_type', operator: 'equal', value: 'chat' }] }
  const rules = await createRuleSet(policyOf([ruleOf('prefer', here), ruleOf('prefer', chat, { by: 0.5 }), ruleOf('avoid', chat)]))
  const meters = EMPTY.map((meter) => meterOf(meter.limit, meter.limit.quantity / 2))
  rules.begin(REQUEST, meters)
  expect(rules.judge(candidateOf(GEMINI)).shift).toBeCloseTo(0.3, 12)
  rules.standing(NOW, meters)
  expect(rules.judge(candidateOf(GEMINI)).shift).toBeCloseTo(0.5, 12)
  expect(rules.judge(candidateOf(CLAUDE)).shift).toBeCloseTo(0.3, 12)
})

test('what a provider counts beside the ledger is used, and spent', async () => {
  const rules = await createRuleSet(policyOf([]))
  const meters = metersWith('claude.month', { settled: 5e9, beside: 11e9 })
  rules.begin(REQUEST, meters)
  expect(rules.facts(candidateOf(CLAUDE, asking(4e9)))).toMatchObject({
    'claude.month.used': 1,
    'claude.month.spent': 0.8,
    'claude.month.left_usd': 4,
    'backend.utilization': 0.8,
  })
  expect(rules.judge(candidateOf(CLAUDE, asking(4e9 + 1))).forbidden).toBe(true)
  expect(rules.standing(NOW, meters).map(({ rule }) => rule.name)).toContain('claude.month near')
})

test('warnings read what is settled, never what is held', async () => {
  const rules = await createRuleSet(policyOf([]))
  const near = (change: Partial<MeterState>): readonly string[] =>
    rules.standing(NOW, metersWith('all.day', change)).flatMap(({ rule }) => (rule.event.params.limit === 'all.day' ? [rule.name] : []))
  expect(near({ settled: 4e9 - 1, held: 1e9 })).toEqual([])
  expect(near({ settled: 4e9 })).toEqual(['all.day near'])
})

test('a notify rule that reads the request is matched per candidate, for the caller to raise', async () => {
  const rules = await createRuleSet(policyOf([ruleOf('notify', { all: [{ fact: 'tags', operator: 'contains', value: 'vip' }] })]))
  rules.begin({ ...REQUEST, tags: ['a', 'vip'] }, EMPTY)
  expect(matchedNames(rules, candidateOf(CLAUDE))).toEqual(['own'])
  rules.begin(REQUEST, EMPTY)
  expect(matchedNames(rules, candidateOf(CLAUDE))).toEqual([])
})

test('a candidate is judged by its own task type and model, whatever was judged before', async () => {
  const rules = await createRuleSet(
    policyOf([
      ruleOf('forbid', {
        all: [
          { fact: 'model', operator: 'equal', value: 'claude-2' },
          { fact: 'task_type', operator: 'notEqual', value: 'reasoning' },
        ],
      }),
    ]),
  )
  const forbidden = (taskType: string, model: string): boolean => {
    rules.begin({ ...REQUEST, taskType }, EMPTY)
    return rules.judge(candidateOf(CLAUDE, asking(1), model)).forbidden
  }
  expect([forbidden('chat', 'claude-2'), forbidden('reasoning', 'claude-2'), forbidden('never seen', 'claude-2'), forbidden('chat', 'never seen')]).toEqual([
    true,
    false,
    true,
    false,
  ])
})

test('a model that only a limit mentions is told apart all the same', async () => {
  const soft = limit('soft', 100, { model: 'claude-2' }, { hard: false })
  const rules = await createRuleSet(policyOf([ruleOf('forbid', { all: [{ fact: 'soft.used', operator: 'greaterThan', value: 0.5 }] })], [soft]))
  rules.begin(REQUEST, [meterOf(soft)])
  expect(['claude-1', 'claude-2', 'claude-1'].map((model) => rules.judge(candidateOf(CLAUDE, asking(51), model)).forbidden)).toEqual([false, true, false])
})

test('two texts that no rule mentions are equal only when they are the same', async () => {
  const rules = await createRuleSet(policyOf([ruleOf('forbid', { all: [{ fact: 'task_type', operator: 'equal', value: { fact: 'task_id' } }] })]))
  rules.begin({ ...REQUEST, taskType: 'x', taskId: 'y' }, EMPTY)
  expect(rules.judge(candidateOf(CLAUDE)).forbidden).toBe(false)
  rules.begin({ ...REQUEST, taskType: 'x', taskId: 'x' }, EMPTY)
  expect(rules.judge(candidateOf(CLAUDE)).forbidden).toBe(true)
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%s in a request, an estimate or a total closes', async (bad) => {
  const rules = await createRuleSet(policyOf([]))
  expect(() => rules.begin({ ...REQUEST, inputTokens: bad }, EMPTY)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  expect(() => rules.begin({ ...REQUEST, nowMs: bad }, EMPTY)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  expect(() => rules.begin(REQUEST, metersWith('two', { held: bad }))).toThrow(expect.objectContaining({ code: 'LEDGER_DAMAGED' }))
  expect(() => rules.standing(NOW, metersWith('two', { settled: bad }))).toThrow(expect.objectContaining({ code: 'LEDGER_DAMAGED' }))
  expect(() => rules.judge(candidateOf(CLAUDE))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  rules.begin(REQUEST, EMPTY)
  for (const estimate of [asking(bad), asking(0, bad), asking(0, 0, bad)]) {
    expect(() => rules.judge(candidateOf(CLAUDE, estimate))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  }
  expect(() => rules.judge({ ...candidateOf(CLAUDE), maxOutputTokens: bad })).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
})

test('meters that are not those of the limits, a backend that the policy lacks, and a candidate without a request close', async () => {
  const rules = await createRuleSet(policyOf([]))
  expect(() => rules.judge(candidateOf(CLAUDE))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  expect(() => rules.begin(REQUEST, EMPTY.slice(1))).toThrow(expect.objectContaining({ code: 'LEDGER_DAMAGED' }))
  rules.begin(REQUEST, EMPTY)
  expect(() => rules.judge(candidateOf(cloud('gpt')))).toThrow(expect.objectContaining({ code: 'BACKEND_UNKNOWN' }))
})

test.each<[string, Condition]>([
  ['an unknown fact', { all: [{ fact: 'budget', operator: 'equal', value: 1 }] }],
  ['a number compared with a string', { any: [{ fact: 'hour', operator: 'greaterThan', value: '9' }] }],
  ['eleven leaves', { all: Array.from({ length: 11 }, (): Leaf => ({ fact: 'hour', operator: 'equal', value: 1 })) }],
])('%s is refused', async (_, conditions) => {
  await expect(createRuleSet(policyOf([ruleOf('forbid', conditions)]))).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

test('an explanation has every rule, whether it matched, and the facts that it read', async () => {
  const rules = await createRuleSet(
    policyOf([ruleOf('forbid', { all: [{ fact: 'hour', operator: 'equal', value: 13 }, { not: { fact: 'task_type', operator: 'equal', value: 'x' } }] })]),
  )
  rules.begin(REQUEST, EMPTY)
  const explained = await rules.explain(candidateOf(CLAUDE))
  expect(explained.map(({ rule }) => rule)).toEqual(rules.rules)
  expect(explained.at(-1)).toEqual({ rule: rules.rules.at(-1), phase: 'dispatch', matched: true, facts: { hour: 13, task_type: 'chat' } })
  expect(explained[0]).toMatchObject({ matched: false, facts: { backend_kind: 'cloud', 'all.day.used': 0.2e-9 } })
})

// The tables and json-rules-engine are held together over random rules and facts.

const TEXTS = ['claude', 'gemini', 'local', 'cloud', 'claude-1', 'claude-2', 'bulk', 'chat', 'other', '']
const NUMBERS = [0, 0.2, 0.25, 0.5, 0.8, 1, 1 + Number.EPSILON, 1 - Number.EPSILON / 2, 2, 3, 13, 100, 500, -1, 1e9]
const catalogue = factCatalogue(LIMITS.map(({ name }) => name))
const factsOf = (type: string): readonly string[] => [...catalogue].flatMap(([name, definition]) => (definition.type === type ? [name] : []))
const ORDERINGS: readonly Operator[] = ['lessThan', 'lessThanInclusive', 'greaterThan', 'greaterThanInclusive']

const number = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...NUMBERS) }, fc.integer({ min: 0, max: 24 }))
const text = fc.constantFrom(...TEXTS)
const numberFact = fc.constantFrom(...factsOf('number'))
const textFact = fc.constantFrom(...factsOf('string'))
const leafOf = (fact: fc.Arbitrary<string>, operators: readonly Operator[], value: fc.Arbitrary<Leaf['value']>): fc.Arbitrary<Leaf> =>
  fc.record({ fact, operator: fc.constantFrom(...operators), value })
const leaf = fc.oneof(
  { weight: 5, arbitrary: leafOf(numberFact, [...ORDERINGS, 'equal', 'notEqual'], number) },
  leafOf(numberFact, [...ORDERINGS, 'equal', 'notEqual'], fc.record({ fact: numberFact })),
  leafOf(numberFact, ['in', 'notIn'], fc.array(number, { maxLength: 4 })),
  { weight: 3, arbitrary: leafOf(textFact, ['equal', 'notEqual'], text) },
  leafOf(textFact, ['equal', 'notEqual'], fc.record({ fact: textFact })),
  leafOf(textFact, ['in', 'notIn'], fc.array(text, { maxLength: 4 })),
  leafOf(fc.constant('tags'), ['contains', 'doesNotContain'], text),
)
const tree: fc.Memo<Condition> = fc.memo((depth) => {
  if (depth <= 1) return leaf
  const children = fc.array(tree(depth - 1), { minLength: 1, maxLength: 2 })
  return fc.oneof({ weight: 2, arbitrary: leaf }, fc.record({ all: children }), fc.record({ any: children }), fc.record({ not: tree(depth - 1) }))
})
const branches = fc.array(tree(3), { minLength: 1, maxLength: 2 })
const conditions: fc.Arbitrary<Condition> = fc.oneof(fc.record({ all: branches }), fc.record({ any: branches }), fc.record({ not: tree(3) }))
const rule = fc.tuple(fc.constantFrom<EffectType>('forbid', 'avoid', 'prefer', 'notify'), conditions).map(([type, tree]) => ruleOf(type, tree))

/** Shares of a limit that lie on thresholds, and a unit to either side of them. */
const standing = fc.record({
  share: fc.constantFrom(0, 0.2, 0.25, 0.5, 0.8, 0.9, 1),
  off: fc.integer({ min: -1, max: 1 }),
  held: fc.integer({ min: 0, max: 1 }),
  bare: fc.boolean(),
})
const situation = fc.record({
  standings: fc.array(standing, { minLength: LIMITS.length, maxLength: LIMITS.length }),
  request: fc.record({
    nowMs: fc.constantFrom(START, START + 10_000_000, NOW, BOUNDS.endMs - 1),
    taskType: fc.option(text),
    taskId: fc.option(fc.oneof(text, fc.constant('t-1'))),
    tags: fc.uniqueArray(text, { maxLength: 3 }),
    inputTokens: fc.constantFrom(0, 3, 13, 100),
  }),
  backend: fc.constantFrom(CLAUDE, GEMINI, LOCAL),
  model: fc.constantFrom('claude-1', 'claude-2', 'unheard of', 'chat'),
  maxOutputTokens: fc.constantFrom(0, 100, 500),
  estimate: fc.record({ costNano: fc.constantFrom(0, 1, 2, 1e9), tokens: fc.constantFrom(0, 1, 180_000), requests: fc.constantFrom(0, 1) }),
})

const metersOf = (standings: readonly { share: number; off: number; held: number; bare: boolean }[]): readonly MeterState[] =>
  LIMITS.map((of, index) => {
    const { share, off, held, bare } = standings[index] ?? { share: 0, off: 0, held: 0, bare: false }
    return meterOf(of, Math.max(0, Math.round(share * of.quantity) + off), { held, bounds: bare && of.window.kind === 'first-use' ? undefined : BOUNDS })
  })

test('tables and json-rules-engine agree on 100,000 random pairs of rule and facts', { timeout: 120_000 }, async () => {
  let pairs = 0
  let matches = 0
  await fc.assert(
    fc.asyncProperty(fc.array(rule, { minLength: 60, maxLength: 60 }), fc.array(situation, { minLength: 24, maxLength: 24 }), async (own, situations) => {
      const rules = await createRuleSet(policyOf(own))
      const dispatch = rules.rules.map((each) => phaseOf(each, catalogue) === 'dispatch')
      for (const { standings, request, ...candidate } of situations) {
        const meters = metersOf(standings)
        rules.begin(request, meters)
        const found = new Set(rules.judge(candidate).matched)
        const forbidden = rules.judge(candidate).forbidden
        const ours = rules.standing(request.nowMs, meters).filter((match) => match.backend === undefined || match.backend === candidate.backend)
        const theirs = await runFresh(rules.rules, rules.facts(candidate))
        for (const [index, each] of rules.rules.entries()) {
          if (!dispatch[index] && candidate.backend.kind === 'local') continue
          const matched = dispatch[index] === true ? found.has(index) : ours.some((match) => match.rule === each)
          if (matched !== theirs[index]) throw new Error(`${JSON.stringify(each.conditions)} on ${JSON.stringify(rules.facts(candidate))}: ${matched}`)
          pairs += 1
          matches += Number(matched)
        }
        if (forbidden !== rules.rules.some((each, index) => each.event.type === 'forbid' && theirs[index] === true))
          throw new Error('forbidden is not what the rules say')
      }
    }),
    { numRuns: 70, endOnFailure: true },
  )
  expect(pairs).toBeGreaterThanOrEqual(100_000)
  expect(matches).toBeGreaterThan(pairs / 10)
  expect(matches).toBeLessThan((pairs * 9) / 10)
})
