import type { Limit, MeterState } from '../../packages/core/src/limit.ts'
import type { Backend, Condition, Effect, EffectType, Leaf, Policy, Rule } from '../../packages/core/src/policy/policy.ts'
import type { CandidateFacts, RequestFacts } from '../../packages/core/src/policy/rule-set.ts'

/** The same numbers for the same seed, 0 to 1 (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function pickFrom<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new RangeError('nothing to pick from')
  return item
}

export const NOW_MS = Date.parse('2026-11-18T14:20:00Z')
const MONTH = { startMs: Date.parse('2026-11-01T00:00:00Z'), endMs: Date.parse('2026-12-01T00:00:00Z') }
const DAY = { startMs: Date.parse('2026-11-18T00:00:00Z'), endMs: Date.parse('2026-11-19T00:00:00Z') }

export const TASK_TYPES = ['reasoning', 'coding', 'chat', 'bulk', 'summary', 'translation', 'search', 'npc']
const TAGS = ['beta', 'internal', 'night', 'vip', 'batch', 'test']

export const BACKENDS: readonly Backend[] = [
  backend('claude', 'anthropic', ['claude-sonnet-4-20250514', 'claude-opus-4-8', 'claude-haiku-4-5']),
  backend('kimi', 'moonshotai', ['kimi-k2', 'kimi-k2-turbo']),
  backend('gpt', 'openai', ['gpt-5', 'gpt-5-mini']),
  backend('gemini', 'google', ['gemini-2.5-pro', 'gemini-2.5-flash']),
  { name: 'local', kind: 'local', provider: undefined, models: ['llama3.1:8b'], quota: undefined, paidNano: undefined },
]

const LIMITS: readonly Limit[] = [
  { name: 'all.day', quantity: 5e9, unit: 'usd', window: { kind: 'day' }, scope: {}, hard: true },
  { name: 'all.month', quantity: 50e9, unit: 'usd', window: { kind: 'month', day: 1 }, scope: {}, hard: true },
  ...Object.entries({ claude: 20, kimi: 15, gpt: 10, gemini: 5 }).map(([name, usd]): Limit => ({
    name: `${name}.month`,
    quantity: usd * 1e9,
    unit: 'usd',
    window: { kind: 'month', day: 1 },
    scope: { backend: name },
    hard: true,
  })),
  { name: 'opus', quantity: 3e9, unit: 'usd', window: { kind: 'day' }, scope: { model: 'claude-opus-4-8' }, hard: true },
  { name: 'bulk', quantity: 10e9, unit: 'usd', window: { kind: 'month', day: 1 }, scope: { taskType: 'bulk' }, hard: true },
]

function backend(name: string, provider: string, models: readonly string[]): Backend {
  return { name, kind: 'cloud', provider, models, quota: `${name}.month`, paidNano: undefined }
}

/** A policy of four cloud backends and a local one, with eight limits and this many rules of the operator's own. */
export function generatePolicy(ruleCount: number, seed: number): Policy {
  const random = randomFrom(seed)
  return {
    version: 'generated',
    text: '',
    timezone: 'America/New_York',
    backends: BACKENDS,
    limits: LIMITS,
    warningThreshold: 0.8,
    hardStop: true,
    floors: { backend: 0.5, total: 0.7, lowRemaining: 0.1 },
    preferences: new Map(),
    prices: new Map(),
    maxOutputTokens: 8192,
    rules: Array.from({ length: ruleCount }, (_, index) => generateRule(random, index)),
  }
}

/** The kinds of rules that operators write: about whom or what (one or two equalities), then a threshold. */
function generateRule(random: () => number, index: number): Rule {
  const pick = <T>(items: readonly T[]): T => pickFrom(random, items)
  const subject = (): Leaf => {
    const roll = random()
    if (roll < 0.3) return { fact: 'backend', operator: pick(['equal', 'equal', 'equal', 'notEqual']), value: pick(BACKENDS).name }
    if (roll < 0.5) return { fact: 'model', operator: 'equal', value: pick(pick(BACKENDS).models) }
    if (roll < 0.75) return { fact: 'task_type', operator: pick(['equal', 'equal', 'notEqual']), value: pick(TASK_TYPES) }
    if (roll < 0.9)
      return { fact: pick(['task_type', 'backend']), operator: pick(['in', 'notIn']), value: [pick(TASK_TYPES), pick(BACKENDS).name, pick(TASK_TYPES)] }
    return { fact: 'tags', operator: pick(['contains', 'contains', 'doesNotContain']), value: pick(TAGS) }
  }
  const threshold = (): Leaf => {
    const roll = random()
    const operator = pick(['greaterThan', 'greaterThanInclusive', 'lessThan', 'lessThanInclusive'] as const)
    if (roll < 0.3) return { fact: `${pick(LIMITS).name}.${pick(['used', 'spent'])}`, operator: 'greaterThan', value: 0.5 + Math.round(random() * 10) / 20 }
    if (roll < 0.45) return { fact: 'estimate_usd', operator: 'greaterThan', value: Math.round(random() * 100) / 100 }
    if (roll < 0.6) return { fact: 'hour', operator, value: Math.floor(random() * 24) }
    if (roll < 0.7) return { fact: pick(['input_tokens', 'max_output_tokens']), operator: 'greaterThan', value: Math.floor(random() * 100_000) }
    if (roll < 0.8) return { fact: `${pick(LIMITS).name}.left_usd`, operator: 'lessThan', value: Math.round(random() * 10) }
    if (roll < 0.88) return { fact: pick(['backend.used', 'backend.remaining', 'backend.pace', 'total.pace']), operator, value: random() }
    if (roll < 0.94) return { fact: 'weekday', operator: 'in', value: [6, 7] }
    return { fact: 'backend.used', operator: 'greaterThan', value: { fact: `${pick(LIMITS).name}.used` } }
  }
  const shapes: (() => Condition)[] = [
    () => ({ all: [subject(), threshold()] }),
    () => ({ all: [subject(), subject()] }),
    () => ({ all: [subject(), subject(), threshold()] }),
    () => ({ all: [subject(), { any: [threshold(), threshold()] }] }),
    () => ({ all: [subject(), { not: subject() }, threshold()] }),
    () => ({ any: [{ all: [subject(), threshold()] }, { all: [subject(), threshold(), threshold()] }] }),
    () => ({ all: [threshold(), threshold()] }),
  ]
  return {
    name: `rule ${index}`,
    conditions: pick(shapes)(),
    event: generateEffect(pick(['forbid', 'avoid', 'avoid', 'prefer', 'prefer', 'notify'])),
    line: undefined,
  }
}

function generateEffect(type: EffectType): Effect {
  return { type, params: type === 'prefer' || type === 'avoid' ? { by: 0.1 } : { message: 'generated' } }
}

/** Totals of a month in its third week. */
export function generateMeters(random: () => number): readonly MeterState[] {
  return LIMITS.map((limit) => {
    const settled = Math.floor(limit.quantity * random() * 0.9)
    return {
      limit,
      settled,
      held: Math.floor(limit.quantity * random() * 0.05),
      presumed: 0,
      beside: 0,
      reading: undefined,
      bounds: limit.window.kind === 'day' ? DAY : MONTH,
      roomAt: () => undefined,
    }
  })
}

export function generateRequest(random: () => number): RequestFacts {
  return {
    nowMs: NOW_MS + Math.floor(random() * 1_800_000),
    taskType: random() < 0.1 ? null : pickFrom(random, TASK_TYPES),
    taskId: `task-${Math.floor(random() * 1000)}`,
    tags: random() < 0.7 ? [] : [pickFrom(random, TAGS)],
    inputTokens: Math.floor(random() * 20_000),
  }
}

/** One candidate for each backend, with one of its models. */
export function generateCandidates(random: () => number): readonly CandidateFacts[] {
  return BACKENDS.map((backend) => ({
    backend,
    model: pickFrom(random, backend.models),
    maxOutputTokens: 256 + Math.floor(random() * 8000),
    estimate: { costNano: backend.kind === 'local' ? 0 : Math.floor(random() * 2e8), tokens: Math.floor(random() * 28_000), requests: 1 },
  }))
}
