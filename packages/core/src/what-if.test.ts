import fc from 'fast-check'
import { expect, test } from 'vitest'
import { policyVersion } from './config/watch.ts'
import { parsePolicy } from './config/parse.ts'
import type { DecideRequest } from './decision.ts'
import { explainJudged, type Explanation } from './explain.ts'
import type { Limit, MeterState } from './limit.ts'
import { preparePolicy, type PreparedPolicy } from './policy/prepare.ts'
import { checkRequest } from './request.ts'

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
  const judge = (totals: readonly MeterState[]) => ready.planner.plan(asked, totals, NOW, false, undefined)
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

test('a limit without room: by how much, to the nano, for the shortest answer that is of use', async () => {
  // 1,000 input at 3.75 (a cache write) and 256 output at 15 USD a million: 0.00759 USD.
  const explanation = await explained({ backend: 'claude' }, { sonnets: 5e9 - 1e6, 'all.day': 10e9 - 1e9 })
  expect(of(explanation, 'claude-sonnet-4-20250514')?.whatIf).toMatchObject({
    changes: [{ kind: 'room', limit: 'sonnets', unit: 'usd' }],
    text: expect.stringMatching(/^with \$0\.0\d+ more free in sonnets/),
  })
})

test('two limits without room are both named', async () => {
  const explanation = await explained({ backend: 'gpt', pinned: true }, { asks: 100, 'all.day': 10e9 })
  expect(of(explanation, 'gpt-5')?.whatIf).toEqual({
    changes: [
      { kind: 'room', limit: 'all.day', unit: 'usd', more: expect.any(Number) },
      { kind: 'room', limit: 'asks', unit: 'requests', more: 1 },
    ],
    text: expect.stringMatching(/^with \$0\.\d+ more free in all\.day, and with 1 requests more free in asks$/),
  })
})

test('a rule that forbids is named with its line, and the rest of the way as well', async () => {
  const explanation = await explained({ backend: 'claude', model: 'claude-opus-4-8', taskType: 'chat' })
  expect(of(explanation, 'claude-opus-4-8')?.whatIf).toEqual({
    changes: [{ kind: 'without-rule', rule: 'opus is for reasoning', line: 11 }],
    text: 'without rule "opus is for reasoning" (line 11)',
  })
})

test('a better score: by how much, and the rule that made it', async () => {
  const explanation = await explained({ backend: 'claude', model: 'claude-sonnet-4-20250514', taskType: 'bulk' })
  expect(explanation.backend).toBe('gpt')
  expect(of(explanation, 'claude-sonnet-4-20250514')?.whatIf?.changes).toEqual([{ kind: 'score', more: expect.closeTo(0.1), instead: ['gpt for bulk'] }])
})

test('a model of unknown price wants a price, and a local backend a cloud without room', async () => {
  const explanation = await explained({ backend: 'claude', model: 'claude-next' })
  expect(of(explanation, 'claude-next')?.whatIf).toEqual({
    changes: [{ kind: 'price', model: 'claude-next' }],
    text: 'with a price for claude-next under `prices:`',
  })
  expect(of(explanation, 'llama3.1:8b')?.whatIf?.changes).toEqual([{ kind: 'last-resort' }])
})

test('with exactly the room that is named the candidate is taken, and with a nano less it is not', async () => {
  const policy = await prepared()
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        day: fc.integer({ min: 0, max: 12e9 }),
        sonnets: fc.integer({ min: 0, max: 6e9 }),
        asks: fc.integer({ min: 90, max: 101 }),
        maxOutputTokens: fc.integer({ min: 1, max: 100_000 }),
        inputTokens: fc.integer({ min: 0, max: 100_000 }),
        backend: fc.constantFrom('claude', 'gpt'),
      }),
      async ({ day, sonnets, asks, backend, ...size }) => {
        const totals: Record<string, number> = { 'all.day': day, sonnets, asks }
        const request = { backend, pinned: true, ...size }
        const explanation = await explained(request, totals, policy)
        const [first] = explanation.candidates
        const changes = first?.whatIf?.changes ?? []
        if (first === undefined || changes.length === 0 || changes.some(({ kind }) => kind !== 'room')) return
        const after = { ...totals }
        for (const change of changes) if (change.kind === 'room') after[change.limit] = (after[change.limit] ?? 0) - change.more
        expect(await explained(request, after, policy)).toMatchObject({ backend: first.candidate.backend, model: first.candidate.model })
        for (const change of changes) {
          if (change.kind !== 'room') continue
          const short = await explained(request, { ...after, [change.limit]: (after[change.limit] ?? 0) + 1 }, policy)
          expect(short.model).not.toBe(first.candidate.model)
        }
      },
    ),
    { numRuns: 200 },
  )
})
