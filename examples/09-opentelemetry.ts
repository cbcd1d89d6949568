// Tokens, cost and budgets as OpenTelemetry metrics. Run with `node examples/09-opentelemetry.ts`.
import { metrics } from '@opentelemetry/api'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { openManciple } from '@manciple/core'
import { withMetrics } from '@manciple/router-plugin/metrics'

// In a service, an OTLP exporter stands here. The SDK comes first: without one, `withMetrics` gives back the Manciple that it was given.
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter })
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))

const manciple = withMetrics(await openManciple({ config: { text: 'budgets: { daily_limit_usd: 5.00 }' }, ledger: 'memory' }))
const dispatch = await manciple.decide({ backend: 'claude', taskType: 'chat', inputTokens: 1500, maxOutputTokens: 1000 })
await dispatch.settle({ inputTokens: 1500, outputTokens: 800, cacheReadTokens: 1000 })

await reader.forceFlush()
for (const { descriptor, dataPoints } of exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))) {
  for (const { attributes, value } of dataPoints) {
    const of = attributes['gen_ai.token.type'] ?? attributes['manciple.limit'] ?? attributes['manciple.backend'] ?? ''
    console.log(`${descriptor.name} ${of}: ${typeof value === 'number' ? value : value.sum} ${descriptor.unit}`)
  }
}
await manciple.close()
await reader.shutdown()
