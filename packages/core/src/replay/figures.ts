import { isoInstant } from '../instant.ts'
import { NANO_PER_USD, nanoToUsd, type NanoUsd } from '../money.ts'
import type { Notice } from '../notices/notice.ts'
import { accountOf } from '../policy/measures.ts'
import type { Policy } from '../policy/policy.ts'
import type { ByBackend, ReplayCourse, ReplayReport, ReplayWindow } from './report.ts'
import type { Tally } from './tally.ts'

/** All that a report is made of. */
export interface Figures {
  readonly policy: Policy
  readonly tally: Tally
  readonly windows: readonly ReplayWindow[]
  readonly overshootNano: NanoUsd
  readonly notices: readonly Notice[]
  readonly course: readonly ReplayCourse[]
  readonly fromMs: number
  readonly toMs: number
  readonly leftOut: Readonly<Record<string, number>>
  readonly notes: readonly string[]
}

export function figuresOf({ policy, tally, windows, overshootNano, notices, course, fromMs, toMs, leftOut, notes }: Figures): ReplayReport {
  const { calls } = tally
  const share = (count: number): number => (calls === 0 ? 0 : count / calls)
  return {
    policy: policy.version,
    timezone: policy.timezone,
    from: isoInstant(fromMs),
    to: isoInstant(toMs),
    calls,
    elapsed_ms: toMs - fromMs,
    spent_usd: nanoToUsd(tally.spentNano),
    spent_by_backend: Object.fromEntries([...tally.spentBy].map(([name, nano]) => [name, nanoToUsd(nano)])),
    served_by_backend: Object.fromEntries(tally.servedBy),
    utilization: utilizationOf(policy, windows),
    wasted_usd: wasteOf(policy, windows),
    overshoot_usd: nanoToUsd(overshootNano),
    dry_share: share(tally.dry),
    local_share: share(tally.local),
    refused: tally.refused,
    rerouted: tally.rerouted,
    shortened: tally.shortened,
    value: share(tally.value),
    not_in_policy: Object.fromEntries(tally.notInPolicy),
    left_out: leftOut,
    notes,
    alerts: notices.map(({ time, kind, scope, severity, text }) => ({ time, kind, scope, severity, text })),
    windows,
    rules: tally.rules,
    course,
  }
}

/** The windows of each quota. */
function quotasOf(policy: Policy, windows: readonly ReplayWindow[]): readonly (readonly [backend: string, weight: number, windows: readonly ReplayWindow[]])[] {
  return policy.backends.flatMap((backend) => {
    const own = windows.filter(({ quota_of: name }) => name === backend.name)
    return own.length === 0 ? [] : [[backend.name, accountOf(backend, policy).weight, own] as const]
  })
}

function utilizationOf(policy: Policy, windows: readonly ReplayWindow[]): ByBackend<number> {
  let sum = 0
  let weights = 0
  const backends = quotasOf(policy, windows).map(([name, weight, own]) => {
    const used = usedOf(own)
    sum += weight * used * own.length
    weights += weight * own.length
    return [name, used] as const
  })
  return { total: weights > 0 ? sum / weights : 0, ...Object.fromEntries(backends) }
}

/** Of windows of one quota. Amounts of USD are whole nano-USD: they are added up as such. */
function usedOf(windows: readonly ReplayWindow[]): number {
  const scale = windows[0]?.unit === 'usd' ? NANO_PER_USD : 1
  const sum = (amountOf: (window: ReplayWindow) => number): number => windows.reduce((total, window) => total + Math.round(amountOf(window) * scale), 0)
  const quantity = sum((window) => window.quantity)
  return quantity > 0 ? sum((window) => window.settled) / quantity : 0
}

function wasteOf(policy: Policy, windows: readonly ReplayWindow[]): ByBackend<number | null> {
  const nanoOf = (usd: number): NanoUsd => Math.round(usd * NANO_PER_USD)
  const backends = quotasOf(policy, windows).map(([name, , own]) => {
    const wastes = own.map(({ wasted_usd: usd }) => usd)
    return [name, wastes.includes(null) ? null : wastes.reduce<NanoUsd>((nano, usd) => nano + nanoOf(usd ?? 0), 0)] as const
  })
  const total = backends.reduce((nano, [, waste]) => nano + (waste ?? 0), 0)
  return { total: nanoToUsd(total), ...Object.fromEntries(backends.map(([name, nano]) => [name, nano === null ? null : nanoToUsd(nano)])) }
}
