import { replayTrace, type ReplayReport, type TraceCall } from '../../packages/core/src/index.ts'
import type { Month, World } from './month.ts'
import type { Outage, Outcome } from './simulate.ts'

/** Replays a month through the product: the function behind `manciple replay`, decisions, ledger and all. */
export function replayMonth(
  world: World,
  month: Month,
  { history, outage }: { readonly history?: Month; readonly outage?: Outage } = {},
): Promise<ReplayReport> {
  return replayTrace({
    config: { text: world.text },
    trace: callsOf(world, month),
    ...(history === undefined ? {} : { history: callsOf(world, history) }),
    ...(outage === undefined ? {} : { outages: [{ ...outage, backend: world.backends[outage.backend]! }] }),
  })
}

/** The report in the terms of the bench's own simulator. */
export function outcomeOf(world: World, report: ReplayReport, us: number): Outcome {
  const windows = world.backends.map((name) =>
    Float64Array.from(
      report.windows.filter(({ quota_of }) => quota_of === name),
      ({ settled }) => settled * 1e9,
    ),
  )
  return {
    used: Float64Array.from(windows, (row) => row.reduce((sum, part) => sum + part, 0)),
    windows,
    value: report.value * report.calls,
    dry: report.dry_share,
    local: report.local_share,
    overshoot: report.overshoot_usd * 1e9,
    chooseUs: us,
  }
}

function callsOf({ types }: World, month: Month): readonly TraceCall[] {
  return Array.from(month.atMs, (atMs, i) => ({
    id: `r${i}`,
    atMs,
    durationMs: month.durationMs[i]!,
    backend: undefined,
    model: undefined,
    taskId: undefined,
    taskType: types[month.type[i]!],
    inputTokens: month.input[i]!,
    outputTokens: month.output[i]!,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    maxOutputTokens: month.maxOutput[i]!,
  }))
}
