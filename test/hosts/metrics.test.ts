import { AsyncLocalStorage } from 'node:async_hooks'
import { context, metrics, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { Context, ContextManager } from '@opentelemetry/api'
import { AggregationTemporality, DataPointType, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { openManciple } from '@manciple/core'
import type { Manciple } from '@manciple/core'
import { budgeted } from '@manciple/router-plugin/ai-sdk'
import { withMetrics } from '@manciple/router-plugin/metrics'
import { generateText } from 'ai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mockModel } from './ai-sdk-mocks.ts'

const POLICY = `budgets: { daily_limit_usd: 5.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514], quota: 10.00/month }
  mine: { provider: openai, models: [gpt-4.1], quota: 1M tokens/month }
  local: { kind: local, models: ["llama3.1:8b"] }
limits:
  - { name: spent, amount: 0.000001/day, task_type: spent }
rules:
  - name: nothing for nobody
    conditions: { all: [{ fact: task_type, operator: equal, value: nobody }] }
    event: { type: forbid }
`
const SIZE = { inputTokens: 1000, maxOutputTokens: 1000 }

let plain: Manciple
beforeEach(async () => {
  plain = await openManciple({ config: { text: POLICY }, ledger: 'memory' })
})
afterEach(async () => {
  await plain.close()
  for (const api of [metrics, trace, context]) api.disable()
})

describe('where no SDK is registered', () => {
  test('it is the Manciple that was given', () => {
    expect(withMetrics(plain)).toBe(plain)
  })
})

describe('where a meter provider is registered', () => {
  let exporter: InMemoryMetricExporter
  let reader: PeriodicExportingMetricReader
  let manciple: Manciple

  beforeEach(() => {
    exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000_000 })
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
    manciple = withMetrics(plain)
  })
  afterEach(() => reader.shutdown())

  test('tokens, duration and cost of an entry are recorded under the names of the conventions', async () => {
    const dispatch = await manciple.decide({ backend: 'claude', taskType: 'chat', taskId: 'secret', ...SIZE })
    const usage = { inputTokens: 900, outputTokens: 300, cacheReadTokens: 500, cacheWriteTokens: 100, reasoningTokens: 200 }
    const entry = await dispatch.settle({ usage, durationMs: 1500 })
    const seen = await collected()
    const call = {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'anthropic',
      'gen_ai.request.model': 'claude-sonnet-4-20250514',
      'manciple.backend': 'claude',
      'manciple.task_type': 'chat',
    }
    expect(seen.get('gen_ai.client.token.usage')).toEqual([
      [{ ...call, 'gen_ai.token.type': 'input' }, 900],
      [{ ...call, 'gen_ai.token.type': 'output' }, 300],
    ])
    expect(seen.get('gen_ai.client.operation.duration')).toEqual([[call, 1.5]])
    expect(seen.get('manciple.cost')).toEqual([[{ ...call, 'manciple.usage_source': 'reported' }, entry.cost_usd]])
    const counter = (kind: string): unknown => seen.get(`gen_ai.client.inference.usage.${kind}`)?.[0]?.[1]
    expect(['input_tokens', 'output_tokens', 'cache_read.input_tokens', 'cache_write.input_tokens', 'reasoning.output_tokens'].map(counter)).toEqual([
      900, 300, 500, 100, 200,
    ])
    expect(JSON.stringify([...seen])).not.toContain('secret')
  })

  test('a backend of one’s own is told by the provider that it is given, else by its own name', async () => {
    const named = withMetrics(plain, { providers: { mine: 'azure.ai.openai' } })
    for (const one of [manciple, named]) await (await one.decide({ backend: 'mine', ...SIZE })).settle({ inputTokens: 1, outputTokens: 1 })
    const providers = (await collected()).get('manciple.cost')?.map(([attributes]) => attributes['gen_ai.provider.name'])
    expect(providers).toEqual(['mine', 'azure.ai.openai'])
  })

  test('a call billed by its hold has a cost and a duration with an error, and no usage', async () => {
    await (await manciple.decide({ backend: 'claude', ...SIZE })).settle({ status: 'aborted' })
    const seen = await collected()
    expect(seen.get('gen_ai.client.token.usage')).toBeUndefined()
    expect(seen.get('gen_ai.client.operation.duration')).toMatchObject([[{ 'error.type': 'aborted' }, expect.any(Number)]])
    expect(seen.get('manciple.cost')).toMatchObject([[{ 'manciple.usage_source': 'hold' }, 0.01875]])
  })

  test('a dispatch that is left open is recorded when it is disposed of, one that was released is not', async () => {
    {
      await using dispatch = await manciple.decide({ backend: 'claude', ...SIZE })
      await expect(dispatch.settle({ inputTokens: -1, outputTokens: 0 })).rejects.toThrow('inputTokens')
    }
    {
      await using dispatch = await manciple.decide({ backend: 'claude', ...SIZE })
      await dispatch.release('not sent')
    }
    {
      await using refused = await manciple.decide({ backend: 'claude', taskType: 'nobody', ...SIZE })
      expect(refused.decision.verdict).toBe('refuse')
    }
    expect((await collected()).get('gen_ai.client.operation.duration')).toHaveLength(1)
  })

  test('decisions are counted by verdict', async () => {
    for (const taskType of ['chat', 'chat', 'spent', 'nobody']) await manciple.decide({ backend: 'claude', taskType, ...SIZE })
    const counts = (await collected()).get('manciple.decisions')
    expect(counts?.map(([attributes, count]) => [attributes['manciple.verdict'], attributes['manciple.backend'], count])).toEqual([
      ['dispatch', 'claude', 2],
      ['reroute', 'local', 1],
      ['refuse', undefined, 1],
    ])
  })

  test('limits, utilization and pace are gauges, as they stand when they are read', async () => {
    const held = await manciple.decide({ backend: 'claude', ...SIZE })
    const before = await collected()
    const day = { 'manciple.limit': 'all.day', 'manciple.unit': 'usd', 'manciple.window': 'day' }
    expect(before.get('manciple.limit.used')).toContainEqual([day, held.decision.estimateNano / 5e9])
    expect(before.get('manciple.limit.spent')).toContainEqual([day, 0])
    await held.settle({ inputTokens: 1000, outputTokens: 1000 })
    const after = await collected()
    expect(after.get('manciple.limit.spent')).toContainEqual([day, 0.018 / 5])
    expect(after.get('manciple.limit.free')).toContainEqual([day, 5 - 0.018])
    expect(after.get('manciple.limit.free')).toContainEqual([expect.objectContaining({ 'manciple.unit': 'tokens' }), 1_000_000])
    expect(after.get('manciple.quota.utilization')).toContainEqual([{ 'manciple.backend': 'claude' }, 0.0018])
    const { total, quotas } = plain.budget()
    expect(after.get('manciple.quota.utilization')).toContainEqual([{}, total.utilization])
    expect(after.get('manciple.quota.pace')?.[0]?.[0]).toEqual({ 'manciple.backend': quotas[0]?.backend })
  })

  test('gauges end when Manciple is closed', async () => {
    await manciple.close()
    expect([...(await collected()).keys()]).toEqual([])
  })

  test('a host that is given it is told in full', async () => {
    const model = budgeted(mockModel('claude-sonnet-4-20250514'), { manciple, backend: 'claude' })
    await generateText({ model, prompt: 'What does a manciple buy?' })
    const seen = await collected()
    expect(seen.get('gen_ai.client.token.usage')?.map(([, tokens]) => tokens)).toEqual([100, 20])
    expect(JSON.stringify([...seen])).not.toContain('What does')
  })

  /** Sums of histograms, values of the rest, by attributes. */
  async function collected(): Promise<Map<string, [Record<string, unknown>, number][]>> {
    exporter.reset()
    await reader.forceFlush()
    const seen = new Map<string, [Record<string, unknown>, number][]>()
    for (const { descriptor, dataPointType, dataPoints } of exporter.getMetrics()[0]?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []) {
      const read = (value: unknown): number => (dataPointType === DataPointType.HISTOGRAM ? (value as { sum: number }).sum : (value as number))
      const points = dataPoints.map(({ attributes, value }): [Record<string, unknown>, number] => [{ ...attributes }, read(value)])
      if (points.length > 0) seen.set(descriptor.name, points)
    }
    return seen
  }
})

describe('where tracing alone is registered', () => {
  test('a decision is an event of the active span, without reasons, tasks or prompts', async () => {
    const exporter = new InMemorySpanExporter()
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
    context.setGlobalContextManager(new Contexts())
    const manciple = withMetrics(plain)
    const tracer = trace.getTracer('test')
    await tracer.startActiveSpan('call', async (span) => {
      await manciple.decide({ backend: 'claude', taskType: 'spent', taskId: 'secret', ...SIZE })
      span.end()
    })
    await manciple.decide({ backend: 'claude', ...SIZE })
    const [event] = exporter.getFinishedSpans()[0]?.events ?? []
    expect(event).toMatchObject({ name: 'manciple.decision' })
    expect(event?.attributes).toEqual({
      'manciple.verdict': 'reroute',
      'manciple.requested_backend': 'claude',
      'manciple.backend': 'local',
      'gen_ai.request.model': 'llama3.1:8b',
      'manciple.reasons': 2,
      'manciple.held_usd': 0,
      'manciple.max_output_tokens': 1000,
      'manciple.policy': expect.stringMatching(/^[0-9a-f]+$/),
    })
  })
})

class Contexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()
  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(active: Context, task: F, thisArg?: ThisParameterType<F>, ...args: A): ReturnType<F> {
    return this.#storage.run(active, () => task.call(thisArg, ...args))
  }
  bind<T>(_: Context, target: T): T {
    return target
  }
  enable(): this {
    return this
  }
  disable(): this {
    return this
  }
}
