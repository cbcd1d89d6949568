import { getHeapStatistics } from 'node:v8'
import { Engine, type TopLevelCondition } from 'json-rules-engine'
import type { DecideRequest } from '../../packages/core/src/decision.ts'
import { EmbeddedManciple } from '../../packages/core/src/embedded-manciple.ts'
import { systemClock } from '../../packages/core/src/clock.ts'
import { openMemoryLedger } from '../../packages/core/src/ledger/memory-ledger.ts'
import type { Condition, Leaf, Policy } from '../../packages/core/src/policy/policy.ts'
import { preparePolicy } from '../../packages/core/src/policy/prepare.ts'
import type { CandidateFacts } from '../../packages/core/src/policy/rule-set.ts'
import { BACKENDS, generateCandidates, generatePolicy, generateRequest, randomFrom, TASK_TYPES } from './rule-generator.ts'

type Facts = Readonly<Record<string, string | number | readonly string[]>>

export interface DecideFigures {
  readonly rules: number
  readonly decide_p50_us: number
  readonly decide_p99_us: number
  /** Allocated by a decision and the release that follows it. */
  readonly decide_bytes: number
  /** The same without quotas, which are what is paced; and what pacing adds to a decision, a mean that has every part of its work but the hourly prices. */
  readonly unpaced_p50_us: number
  readonly unpaced_bytes: number
  readonly pacing_us: number
  readonly engine_p50_us: number
  readonly closures_p50_us: number
  /** How many times faster a whole decision, reservation included, is than the engine's runs alone. */
  readonly times_engine: number
}

/** Five candidates: one model of each backend, priced for the bench. */
function benchPolicy(ruleCount: number): Policy {
  const policy = generatePolicy(ruleCount, 42)
  const backends = BACKENDS.map((backend) => ({ ...backend, models: backend.models.slice(0, 1) }))
  // Rules that forbid everything would leave nothing to measure.
  const rules = policy.rules.map((rule) => (rule.event.type === 'forbid' ? { ...rule, event: { type: 'avoid' as const, params: { by: 0.01 } } } : rule))
  const limits = policy.limits.map((limit) => ({ ...limit, quantity: 4e15 }))
  return { ...policy, backends, rules, limits }
}

/** `decide` until reserved on the in-memory ledger, beside the same rules in json-rules-engine alone and in closures compiled by hand. */
export async function measureDecide(ruleCounts: readonly number[]): Promise<readonly DecideFigures[]> {
  const figures: DecideFigures[] = []
  for (const rules of ruleCounts) figures.push(await measure(rules))
  return figures
}

async function measure(ruleCount: number): Promise<DecideFigures> {
  const policy = benchPolicy(ruleCount)
  const prepared = await preparePolicy(policy)
  const paced = await deciderOf(policy)
  const unpaced = await deciderOf({ ...policy, backends: policy.backends.map((backend) => ({ ...backend, quota: undefined })) })
  const bytes = await bytesOf(paced.decideOnce)
  const unpacedBytes = await bytesOf(unpaced.decideOnce)
  const samples = { paced: new Array<number>(), unpaced: new Array<number>() }
  // By turns, so that whatever else the machine does befalls both.
  for (let round = 0; round < 40; round++) {
    for (let time = 0; time < 1_000; time++) samples.paced.push(await paced.decideOnce())
    for (let time = 0; time < 1_000; time++) samples.unpaced.push(await unpaced.decideOnce())
  }
  await paced.manciple.close()
  await unpaced.manciple.close()
  const [decide, without] = [samples.paced.toSorted((a, b) => a - b), samples.unpaced.toSorted((a, b) => a - b)]
  const engine = await medianOf(() => engineRuns(policy, factsOf(prepared, randomFrom(7))), ruleCount >= 1000 ? 5 : 30)
  const closures = await medianOf(closureRuns(policy, factsOf(prepared, randomFrom(7))), 5000)
  return {
    rules: ruleCount,
    decide_p50_us: quantile(decide, 0.5),
    decide_p99_us: quantile(decide, 0.99),
    decide_bytes: bytes,
    unpaced_p50_us: quantile(without, 0.5),
    unpaced_bytes: unpacedBytes,
    pacing_us: meanOf(decide) - meanOf(without),
    engine_p50_us: engine,
    closures_p50_us: closures,
    times_engine: engine / quantile(decide, 0.5),
  }
}

interface Decider {
  readonly manciple: EmbeddedManciple
  /** Decides, and times only that: the release that follows keeps the ledger from filling. Ms. */
  readonly decideOnce: () => Promise<number>
}

async function deciderOf(policy: Policy): Promise<Decider> {
  const manciple = new EmbeddedManciple({ ledger: openMemoryLedger(), prepared: await preparePolicy(policy), clock: systemClock(), onError: console.error })
  await manciple.start()
  const random = randomFrom(7)
  const requests = Array.from({ length: 1024 }, (_, index): DecideRequest => ({
    backend: BACKENDS[index % 4]?.name ?? 'claude',
    taskType: TASK_TYPES[index % TASK_TYPES.length] ?? 'chat',
    taskId: `task-${index}`,
    inputTokens: 100 + Math.floor(random() * 5000),
    maxOutputTokens: 1000,
  }))
  let next = 0
  const decideOnce = async (): Promise<number> => {
    const request = requests[next++ & 1023] as DecideRequest
    const before = performance.now()
    const dispatch = await manciple.decide(request)
    const after = performance.now()
    await dispatch.release('bench')
    return after - before
  }
  for (let warm = 0; warm < 20_000; warm++) await decideOnce()
  return { manciple, decideOnce }
}

/** µs. */
function quantile(sortedMs: readonly number[], share: number): number {
  return (sortedMs[Math.floor(share * sortedMs.length)] ?? Number.NaN) * 1000
}

/** µs, without the slowest hundredth: those are the machine's own. */
function meanOf(sortedMs: readonly number[]): number {
  const kept = sortedMs.slice(0, Math.floor(0.99 * sortedMs.length))
  return (kept.reduce((sum, ms) => sum + ms, 0) / kept.length) * 1000
}

/** Allocated by one decision and its release, a mean. */
async function bytesOf(decideOnce: () => Promise<number>): Promise<number> {
  const times = 20_000
  const before = getHeapStatistics().total_allocated_bytes ?? Number.NaN
  for (let time = 0; time < times; time++) await decideOnce()
  return Math.round(((getHeapStatistics().total_allocated_bytes ?? Number.NaN) - before) / times)
}

function factsOf({ planner, policy }: Awaited<ReturnType<typeof preparePolicy>>, random: () => number): readonly Facts[] {
  const bounds = { startMs: Date.parse('2026-11-01T00:00:00Z'), endMs: Date.parse('2026-12-01T00:00:00Z') }
  const meters = policy.limits.map((limit) => ({ limit, settled: 1e9, held: 0, presumed: 0, beside: 0, reading: undefined, bounds, roomAt: () => undefined }))
  planner.rules.begin(generateRequest(random), meters)
  return generateCandidates(random).map(({ backend, ...rest }): Facts => {
    const declared = policy.backends.find((one) => one.name === backend.name) ?? backend
    return planner.rules.facts({ ...rest, backend: declared, model: declared.models[0] ?? '' } satisfies CandidateFacts)
  })
}

async function engineRuns(policy: Policy, candidates: readonly Facts[]): Promise<number> {
  const engine = new Engine(
    policy.rules.map((rule) => ({ name: rule.name, conditions: rule.conditions as TopLevelCondition, event: { type: rule.event.type } })),
  )
  const before = performance.now()
  for (const facts of candidates) await engine.run({ ...facts })
  return performance.now() - before
}

function closureRuns(policy: Policy, candidates: readonly Facts[]): () => Promise<number> {
  const rules = policy.rules.map((rule) => closureOf(rule.conditions))
  let matched = 0
  return async () => {
    const before = performance.now()
    for (const facts of candidates) for (const rule of rules) if (rule(facts)) matched += 1
    return matched < 0 ? 0 : performance.now() - before
  }
}

function closureOf(condition: Condition): (facts: Facts) => boolean {
  if ('all' in condition) {
    const children = condition.all.map(closureOf)
    return (facts) => children.every((child) => child(facts))
  }
  if ('any' in condition) {
    const children = condition.any.map(closureOf)
    return (facts) => children.some((child) => child(facts))
  }
  if ('not' in condition) {
    const child = closureOf(condition.not)
    return (facts) => !child(facts)
  }
  return leafClosure(condition)
}

function leafClosure({ fact, operator, value }: Leaf): (facts: Facts) => boolean {
  const right = (facts: Facts): unknown => (typeof value === 'object' && 'fact' in value ? facts[value.fact] : value)
  const list = (facts: Facts): readonly unknown[] => right(facts) as readonly unknown[]
  const number = (facts: Facts): number => right(facts) as number
  switch (operator) {
    case 'equal':
      return (facts) => facts[fact] === right(facts)
    case 'notEqual':
      return (facts) => facts[fact] !== right(facts)
    case 'in':
      return (facts) => list(facts).includes(facts[fact])
    case 'notIn':
      return (facts) => !list(facts).includes(facts[fact])
    case 'contains':
      return (facts) => (facts[fact] as readonly unknown[]).includes(right(facts))
    case 'doesNotContain':
      return (facts) => !(facts[fact] as readonly unknown[]).includes(right(facts))
    case 'lessThan':
      return (facts) => (facts[fact] as number) < number(facts)
    case 'lessThanInclusive':
      return (facts) => (facts[fact] as number) <= number(facts)
    case 'greaterThan':
      return (facts) => (facts[fact] as number) > number(facts)
    case 'greaterThanInclusive':
      return (facts) => (facts[fact] as number) >= number(facts)
  }
}

/** µs. */
async function medianOf(run: () => Promise<number>, times: number): Promise<number> {
  const samples: number[] = []
  for (let sample = 0; sample < times; sample++) samples.push(await run())
  return (samples.toSorted((a, b) => a - b)[times >> 1] ?? 0) * 1000
}
