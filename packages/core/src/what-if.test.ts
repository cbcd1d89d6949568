import { expect, test } from 'vitest'
import { policyVersion } from './config/watch.ts'
import { parsePolicy } from './config/parse.ts'
import type { DecideRequest } from './decision.ts'
import { explainJudged, type Explanation } from './explain.ts'
import type { Limit, MeterState } from './limit.ts'
import { preparePolicy, type PreparedPolicy } from './policy/prepare.ts'
import { checkRequest } from './request.ts'
import type { Judge } from './what-if.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const BOUNDS = { startMs: NOW - 1e8, endMs: NOW + 1e8 }
const POLICY = `
budgets: { daily_limit_usd: 10.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514, claude-opus-4-8] }
  gpt: { models: [gpt-5] }
  local: {}
limits:
  - { name: sonnets, amount: 5.00/month, model: claude-sonnet-4-20250514 }
  - { name: asks, amount: 100 requests/day, backend: gpt }
rules:
  - name: opus is for reasoning
    conditions: { all: [{ fact: model, operator: equal, value: claude-opus-4-8 }, { fact: task_type, operator: notEqual, value: reasoning }] }
    event: { type: forbid }
  - name: gpt for bulk
    conditions: { all: [{ fact: backend, operator: equal, value: gpt }, { fact: task_type, operator: equal, value: bulk }] }
    event: { type: prefer, params: { by: 0.6 } }
`

async function prepared(text = POLICY): Promise<PreparedPolicy> {
  const parsed = parsePolicy(text, policyVersion(text))
  if (!parsed.ok) throw new Error(parsed.issues[0]?.message)
  return preparePolicy(parsed.policy)
}

const meter = (limit: Limit, settled: number): MeterState => ({
  limit,
  settled,
  held: 0,
  presumed: 0,
  beside: 0,
  reading: undefined,
  bounds: BOUNDS,
  roomAt: () => undefined,
})

/** @param settled by limit, in its unit; nothing unless given. */
async function explained(request: Partial<DecideRequest>, settled: Readonly<Record<string, number>> = {}, policy?: PreparedPolicy): Promise<Explanation> {
  const ready = policy ?? (await prepared())
  const asked = checkRequest({ inputTokens: 1000, maxOutputTokens: 1000, ...request })
  const meters = ready.policy.limits.map((limit) => meter(limit, settled[limit.name] ?? 0))
  ready.planner.rules.standing(NOW, meters)
  const judge: Judge = (given) => given.planner.plan(given.request, given.meters, NOW, false, undefined)
  return explainJudged({ request: asked, meters, nowMs: NOW, paced: new Map(), judge }, ready)
}

function of(explanation: Explanation, model: string) {
  return explanation.candidates.find(({ candidate }) => candidate.model === model)
}

test('the one that is taken needs nothing else', async () => {
  const explanation = await explained({ backend: 'claude' })
  expect(explanation.backend).toBe('claude')
  expect(of(explanation, 'claude-sonnet-4-20250514')).not.toHaveProperty('whatIf')
})

test('a limit without room: by how much, for the shortest answer that is of use', async () => {
  // 1,000 input at 3.75 (a cache write) and 256 output at 15 USD a million: 0.00759 USD.
  const explanation = await explained({ backend: 'claude' }, { sonnets: 5e9 - 1e6, 'all.day': 10e9 - 1e9 })
  expect(of(explanation, 'claude-sonnet-4-20250514')?.whatIf).toMatchObject({
    changes: [{ kind: 'room', limit: 'sonnets', unit: 'usd' }],
    text: expect.stringMatching(/^with \$0\.0\d+ more free in sonnets/),
  })
})

test('money that is missing is rounded up to what is shown: that much is enough, and one in the last digit less is not', async () => {
  const of = async (settled: number) => explained({ backend: 'claude', pinned: true, inputTokens: 1233, maxOutputTokens: 777 }, { sonnets: settled })
  const settled = 5e9 - 1_000_001
  const { candidates } = await of(settled)
  // 1,233 input at 3.75 and 256 output at 15 USD a million: 0.00846375, of which 0.001000001 is free.
  expect(candidates[0]?.whatIf).toMatchObject({ changes: [{ kind: 'room', more: 7_470_000 }], text: 'with $0.00747 more free in sonnets' })
  expect((await of(settled - 7_470_000)).model).toBe('claude-sonnet-4-20250514')
  expect((await of(settled - 7_460_000)).model).not.toBe('claude-sonnet-4-20250514')
})

test('two limits without room are both named', async () => {
  const explanation = await explained({ backend: 'gpt', pinned: true }, { asks: 100, 'all.day': 10e9 })
  expect(of(explanation, 'gpt-5')?.whatIf).toEqual({
    changes: [
      { kind: 'room', limit: 'all.day', unit: 'usd', more: expect.any(Number) },
      { kind: 'room', limit: 'asks', unit: 'requests', more: 1 },
    ],
    oneOf: [],
    text: expect.stringMatching(/^with \$0\.\d+ more free in all\.day, and with 1 requests more free in asks$/),
  })
})

test('a rule that forbids is named with its line, and the rest of the way as well', async () => {
  const explanation = await explained({ backend: 'claude', model: 'claude-opus-4-8', taskType: 'chat' })
  expect(of(explanation, 'claude-opus-4-8')?.whatIf).toEqual({
    changes: [{ kind: 'without-rule', rule: 'opus is for reasoning', line: 11 }],
    oneOf: [],
    text: 'without rule "opus is for reasoning" (line 11)',
  })
})

test('a better score: by how much, and the rule that made it', async () => {
  const explanation = await explained({ backend: 'claude', model: 'claude-sonnet-4-20250514', taskType: 'bulk' })
  expect(explanation.backend).toBe('gpt')
  expect(of(explanation, 'claude-sonnet-4-20250514')?.whatIf).toEqual({
    changes: [],
    oneOf: [
      { kind: 'score', more: expect.closeTo(0.1) },
      { kind: 'without-rule', rule: 'gpt for bulk', line: 14 },
    ],
    text: 'with a score more than 0.10 higher, or without rule "gpt for bulk" (line 14)',
  })
})

test('a model of unknown price wants a price, and a local backend a cloud without room', async () => {
  const explanation = await explained({ backend: 'claude', model: 'claude-next' })
  expect(of(explanation, 'claude-next')?.whatIf).toEqual({
    changes: [{ kind: 'price', model: 'claude-next' }],
    oneOf: [],
    text: 'with a price for claude-next under `prices:` that its limits have room for',
  })
  expect(of(explanation, 'llama3.1:8b')?.whatIf).toMatchObject({
    changes: [],
    oneOf: [{ kind: 'last-resort' }, { kind: 'named', backend: 'local', model: 'llama3.1:8b' }],
    text: 'when no other backend may take the call, or where the request names local/llama3.1:8b',
  })
})

test('the second model of a backend that a rule forbids needs more than to be allowed: its first would be taken', async () => {
  const policy = await prepared(`
backends: { gpt: { models: [gpt-5, gpt-5-mini] }, local: {} }
rules: [{ name: v, conditions: { all: [{ fact: backend, operator: equal, value: gpt }] }, event: { type: forbid } }]
`)
  const explanation = await explained({ backend: 'gpt' }, {}, policy)
  expect(of(explanation, 'gpt-5')?.whatIf?.text).toBe('without rule "v" (line 3)')
  expect(of(explanation, 'gpt-5-mini')?.whatIf?.text).toBe(
    'without rule "v" (line 3), and either with any higher score, or where the request names gpt/gpt-5-mini',
  )
})

test('what is forbidden and would be cut short needs room as well', async () => {
  const policy = await prepared(`
budgets: { daily_limit_usd: 0.02 }
backends: { gpt: { models: [gpt-5, gpt-5-mini] }, local: {} }
rules: [{ name: v, conditions: { all: [{ fact: backend, operator: equal, value: gpt }] }, event: { type: forbid } }]
`)
  const explanation = await explained({ backend: 'gpt', maxOutputTokens: 8192 }, {}, policy)
  expect(of(explanation, 'gpt-5')?.whatIf?.text).toMatch(/^without rule "v" \(line 4\), and with \$0\.0\d+ more free in all\.day$/)
})

test('a rule that made the winner is named only where the candidate would be the best without it', async () => {
  const rule = (backend: string, by: number): string =>
    `{ name: ${backend}, conditions: { all: [{ fact: backend, operator: equal, value: ${backend} }] }, event: { type: prefer, params: { by: ${by} } } }`
  const policy = await prepared(`
backends: { claude: {}, gpt: {}, kimi: {} }
rules: [${rule('gpt', 1)}, ${rule('kimi', 0.75)}]
`)
  const explanation = await explained({ backend: 'claude' }, {}, policy)
  expect(explanation.backend).toBe('gpt')
  expect(explanation.candidates[0]?.whatIf?.oneOf.map(({ kind }) => kind)).toEqual(['score'])
})
