import fc from 'fast-check'
import { expect, test } from 'vitest'
import { policyVersion } from './config/watch.ts'
import { parsePolicy } from './config/parse.ts'
import type { DecideRequest } from './decision.ts'
import { explainJudged, type Explanation } from './explain.ts'
import type { Limit, MeterState } from './limit.ts'
import { usdToNano } from './money.ts'
import { preparePolicy } from './policy/prepare.ts'
import { checkRequest } from './request.ts'
import type { Judge } from './what-if.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const MODELS = { claude: ['claude-sonnet-4-20250514', 'claude-opus-4-8'], gpt: ['gpt-5', 'gpt-5-mini', 'gpt-next'], local: ['one', 'two'] }
const SCOPES = {
  day: {},
  claude: { backend: 'claude' },
  gpt: { backend: 'gpt' },
  opus: { model: 'claude-opus-4-8' },
  chats: { task_type: 'chat' },
}

interface Rule {
  readonly name: string
  readonly conditions: { readonly all: readonly unknown[] }
  readonly event: { readonly type: string; readonly params?: { readonly by: number } }
}

/** A policy as an operator could change it, its totals, and what is asked of it. */
interface Situation {
  readonly limits: readonly { readonly name: keyof typeof SCOPES; readonly nano: number; readonly unit: 'usd' | 'requests'; readonly settled: number }[]
  readonly rules: readonly Rule[]
  readonly prices: Readonly<Record<string, 'free'>>
  readonly preferences: { readonly chat: Readonly<Record<string, number>> }
  readonly request: DecideRequest
}

function policyText({ limits, rules, prices, preferences }: Situation): string {
  return JSON.stringify({
    backends: Object.fromEntries(Object.entries(MODELS).map(([name, models]) => [name, { models }])),
    limits: limits.map(({ name, nano, unit }) => ({
      name,
      amount: unit === 'usd' ? `${(BigInt(nano) / 10n ** 9n).toString()}.${String(nano % 1e9).padStart(9, '0')}/month` : `${nano} requests/month`,
      ...SCOPES[name],
    })),
    preferences,
    ...(rules.length === 0 ? {} : { rules }),
    ...(Object.keys(prices).length === 0 ? {} : { prices }),
  })
}

function meter(limit: Limit, settled: number): MeterState {
  const bounds = { startMs: NOW - 1e8, endMs: NOW + 1e8 }
  return { limit, settled, held: 0, presumed: 0, beside: 0, reading: undefined, bounds, roomAt: () => undefined }
}

async function explained(situation: Situation): Promise<Explanation> {
  const text = policyText(situation)
  const parsed = parsePolicy(text, policyVersion(text))
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues[0]))
  const ready = await preparePolicy(parsed.policy)
  const meters = ready.policy.limits.map((limit) => meter(limit, situation.limits.find(({ name }) => name === limit.name)?.settled ?? 0))
  ready.planner.rules.standing(NOW, meters)
  const judge: Judge = (given) => given.planner.plan(given.request, given.meters, NOW, false, undefined)
  return explainJudged({ request: checkRequest(situation.request), meters, nowMs: NOW, paced: new Map(), judge }, ready)
}

/** Does what one part of an "otherwise" says, in the file or the request. */
function done(situation: Situation, part: string, backend: string, model: string): Situation {
  const { limits, rules, prices, request } = situation
  const [, usd, count, limit] = /^with (?:\$([\d.,]+)|(\d+) requests) more free in (\w+)$/.exec(part) ?? []
  if (limit !== undefined) {
    const more = usd === undefined ? Number(count) : (usdToNano(usd.replaceAll(',', '')) ?? Number.NaN)
    return { ...situation, limits: limits.map((one) => (one.name === limit ? { ...one, nano: one.nano + more } : one)) }
  }
  const gone = /^without rule "(.*)" \(line \d+\)$/.exec(part)?.[1]
  if (gone !== undefined) return { ...situation, rules: rules.filter(({ name }) => name !== gone) }
  const priced = /^with a price for (.*) under `prices:` that its limits have room for$/.exec(part)?.[1]
  if (priced !== undefined) return { ...situation, prices: { ...prices, [priced]: 'free' } }
  const named = /^where the request names (.*)\/(.*)$/.exec(part)
  if (named !== null) return { ...situation, request: { ...request, backend: named[1] ?? '', model: named[2] ?? '' } }
  const is = (fact: string, operator: string, value: string): unknown => ({ fact, operator, value })
  const only: readonly unknown[] = [is('backend', 'equal', backend), is('model', 'equal', model)]
  const higher = part === 'with any higher score' ? 0 : Number(/^with a score more than ([\d.]+) higher$/.exec(part)?.[1])
  if (part !== 'when no other backend may take the call') {
    const by = Number(((higher + 0.001) / 4).toFixed(6))
    const lifts = [1, 2, 3, 4].map((n) => ({ name: `lift ${n}`, conditions: { all: only }, event: { type: 'prefer', params: { by } } }))
    return { ...situation, rules: [...rules, ...lifts] }
  }
  const others = { name: 'no others', conditions: { all: [is('backend', 'notEqual', backend)] }, event: { type: 'forbid' } }
  return { ...situation, rules: [...rules, others] }
}

const limit = fc.constantFrom('usd', 'requests').chain((unit) =>
  fc.record({
    name: fc.constantFrom('day', 'claude', 'gpt', 'opus', 'chats'),
    unit: fc.constant(unit),
    nano: unit === 'usd' ? fc.integer({ min: 1e6, max: 3e9 }) : fc.integer({ min: 1, max: 3 }),
    settled: unit === 'usd' ? fc.integer({ min: 0, max: 3e9 }) : fc.integer({ min: 0, max: 3 }),
  }),
)
const leaf = fc.oneof(
  fc.record({ fact: fc.constant('backend'), operator: fc.constantFrom('equal', 'notEqual'), value: fc.constantFrom('claude', 'gpt', 'local') }),
  fc.record({ fact: fc.constant('model'), operator: fc.constant('equal'), value: fc.constantFrom(...Object.values(MODELS).flat()) }),
  fc.record({ fact: fc.constant('task_type'), operator: fc.constant('equal'), value: fc.constant('chat') }),
)
const event = fc.oneof(
  fc.record({ type: fc.constant('forbid') }),
  fc.record({ type: fc.constantFrom('prefer', 'avoid'), params: fc.record({ by: fc.constantFrom(0.25, 0.5, 0.75) }) }),
)
const rule = fc.record({ name: fc.constantFrom('r', 's', 't'), conditions: fc.record({ all: fc.array(leaf, { minLength: 1, maxLength: 2 }) }), event })
const share = fc.constantFrom(0, 0.125, 0.25, 0.5, 0.625, 1)
const situation: fc.Arbitrary<Situation> = fc.record({
  limits: fc.uniqueArray(limit, { maxLength: 4, selector: ({ name }) => name }),
  rules: fc.uniqueArray(rule, { maxLength: 3, selector: ({ name }) => name }),
  prices: fc.constant({}),
  preferences: fc.record({ chat: fc.record({ claude: share, gpt: share, local: share }) }),
  request: fc.record(
    {
      backend: fc.constantFrom('claude', 'gpt', 'local'),
      taskType: fc.constant('chat'),
      inputTokens: fc.integer({ min: 0, max: 50_000 }),
      maxOutputTokens: fc.integer({ min: 1, max: 50_000 }),
    },
    { requiredKeys: ['inputTokens', 'maxOutputTokens'] },
  ),
})

test('Every "otherwise" that is printed, done in the policy file or the request, gives what it says', async () => {
  const seen = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(situation, async (asked) => {
      const { candidates } = await explained(asked)
      for (const { candidate, whatIf } of candidates) {
        if (whatIf === undefined) continue
        const needed = whatIf.text.split(/, and (?:either )?/)
        const ways = whatIf.oneOf.length === 0 ? [] : (needed.pop() ?? '').split(/, or /)
        expect({ needed: needed.filter((part) => part !== '').length, ways: ways.length }).toEqual({ needed: whatIf.changes.length, ways: whatIf.oneOf.length })
        for (const { kind } of [...whatIf.changes, ...whatIf.oneOf]) seen.set(kind, (seen.get(kind) ?? 0) + 1)
        const changed = needed.reduce((now, part) => done(now, part, candidate.backend, candidate.model), asked)
        for (const way of ways.length === 0 ? [undefined] : ways) {
          const after = way === undefined ? changed : done(changed, way, candidate.backend, candidate.model)
          const { backend, model } = await explained(after)
          expect({ text: whatIf.text, way, backend, model }).toEqual({ text: whatIf.text, way, backend: candidate.backend, model: candidate.model })
        }
      }
    }),
    { numRuns: 80 },
  )
  expect([...seen.keys()].toSorted()).toEqual(['last-resort', 'named', 'price', 'room', 'score', 'without-rule'])
})
