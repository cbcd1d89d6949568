import type { Attributes, BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import type { BudgetReport, Decision, LedgerEntry, LimitReport } from '@manciple/core'
import { nanoToUsd } from '@manciple/core'

/** As the GenAI semantic conventions advise. */
const TOKEN_BUCKETS = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864]
const SECOND_BUCKETS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

/** Names of providers in the conventions, for the backends that a policy has by default. */
const PROVIDERS: Readonly<Record<string, string>> = { claude: 'anthropic', kimi: 'moonshot_ai', gpt: 'openai', gemini: 'gcp.gemini' }

/** The conventions' counters of tokens, and the fields of an entry that feed them. The last three are parts of the first two. */
const TOKEN_COUNTERS = {
  'gen_ai.client.inference.usage.input_tokens': 'prompt_tokens',
  'gen_ai.client.inference.usage.output_tokens': 'completion_tokens',
  'gen_ai.client.inference.usage.cache_read.input_tokens': 'cache_read_tokens',
  'gen_ai.client.inference.usage.cache_write.input_tokens': 'cache_write_tokens',
  'gen_ai.client.inference.usage.reasoning.output_tokens': 'reasoning_tokens',
} as const satisfies Readonly<Record<string, keyof LedgerEntry>>

/** Records entries and decisions, by OpenTelemetry's semantic conventions for generative AI where they have a name. */
export interface Recorder {
  decided(decision: Decision): void
  billed(entry: LedgerEntry): void
}

/** @param providers backend → `gen_ai.provider.name`. */
export function createRecorder(meter: Meter, providers: Readonly<Record<string, string>>): Recorder {
  const tokens = meter.createHistogram('gen_ai.client.token.usage', {
    unit: '{token}',
    description: 'Number of input and output tokens used.',
    advice: { explicitBucketBoundaries: TOKEN_BUCKETS },
  })
  const duration = meter.createHistogram('gen_ai.client.operation.duration', {
    unit: 's',
    description: 'GenAI operation duration.',
    advice: { explicitBucketBoundaries: SECOND_BUCKETS },
  })
  const counters = Object.entries(TOKEN_COUNTERS).map(([name, field]) => ({ counter: meter.createCounter(name, { unit: '{token}' }), field }))
  const cost = meter.createCounter('manciple.cost', { unit: '{USD}', description: 'List price of what was used.' })
  const decisions = meter.createCounter('manciple.decisions', { unit: '{decision}', description: 'Decisions, by verdict.' })

  return {
    decided({ verdict, backend, model }) {
      decisions.add(1, { 'manciple.verdict': verdict, ...(backend === undefined ? {} : { 'manciple.backend': backend }), ...modelOf(model) })
    },
    billed(entry) {
      const call = attributesOf(entry, providers)
      duration.record(entry.duration_ms / 1000, entry.status === 'ok' ? call : { ...call, 'error.type': entry.status })
      cost.add(entry.cost_usd, { ...call, 'manciple.usage_source': entry.usage_source })
      // A hold is a bound, not a count: the conventions want no usage rather than a wrong one.
      if (entry.usage_source === 'hold') return
      tokens.record(entry.prompt_tokens, { ...call, 'gen_ai.token.type': 'input' })
      tokens.record(entry.completion_tokens, { ...call, 'gen_ai.token.type': 'output' })
      for (const { counter, field } of counters) counter.add(entry[field], { ...call, 'gen_ai.token.modality': 'unknown' })
    },
  }
}

function attributesOf({ backend, model, task_type }: LedgerEntry, providers: Readonly<Record<string, string>>): Attributes {
  return {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': providers[backend] ?? PROVIDERS[backend] ?? backend,
    'manciple.backend': backend,
    ...modelOf(model),
    ...(task_type === null ? {} : { 'manciple.task_type': task_type }),
  }
}

function modelOf(model: string | undefined): Attributes {
  return model === undefined ? {} : { 'gen_ai.request.model': model }
}

/** Gauges of limits, utilization and pace, read once for each collection. @returns a function that ends them. */
export function observeBudget(meter: Meter, budget: () => BudgetReport): () => void {
  const share = (name: string, description: string): Observable => meter.createObservableGauge(name, { unit: '1', description })
  const used = share('manciple.limit.used', 'What is taken of the limit, holds included, as a share of it.')
  const spent = share('manciple.limit.spent', 'Settled, as a share of the limit.')
  const free = meter.createObservableGauge('manciple.limit.free', { description: 'Room in the limit, in its own unit: USD, tokens or requests.' })
  const utilization = share('manciple.quota.utilization', 'Settled, as a share of the quota.')
  const pace = share('manciple.quota.pace', 'Utilization over the share of the window that has passed; 1 is on plan.')
  const all = [used, spent, free, utilization, pace]
  const observe = (result: BatchObservableResult): void => {
    const { limits, quotas, total } = budget()
    for (const limit of limits) {
      const attributes = { 'manciple.limit': limit.limit, 'manciple.unit': limit.unit, 'manciple.window': limit.window }
      result.observe(used, (limit.quantity - limit.free) / limit.quantity, attributes)
      result.observe(spent, limit.spent, attributes)
      result.observe(free, roomOf(limit), attributes)
    }
    for (const progress of [...quotas, { ...total, backend: undefined }]) {
      const attributes = progress.backend === undefined ? {} : { 'manciple.backend': progress.backend }
      result.observe(utilization, progress.utilization, attributes)
      if (progress.pace !== null) result.observe(pace, progress.pace, attributes)
    }
  }
  meter.addBatchObservableCallback(observe, all)
  return () => meter.removeBatchObservableCallback(observe, all)
}

function roomOf({ unit, free }: LimitReport): number {
  return unit === 'usd' ? nanoToUsd(free) : free
}
