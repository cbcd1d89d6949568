import type { LedgerPolicy } from '../../packages/core/src/ledger/ledger.ts'
import type { Settlement } from '../../packages/core/src/ledger/record.ts'

/** Three limits, so high that no bench reaches them. */
export const policy: LedgerPolicy = {
  version: '0123456789ab',
  text: 'budgets:\n  daily_limit_usd: 5000\n',
  timezone: 'UTC',
  limits: [
    { name: 'all.day', scope: {}, hard: true, quantity: 4e15, unit: 'usd', window: { kind: 'day' } },
    { name: 'all.month', scope: {}, hard: true, quantity: 4e15, unit: 'usd', window: { kind: 'month', day: 1 } },
    { name: 'claude.month', scope: { backend: 'claude' }, hard: true, quantity: 4e15, unit: 'usd', window: { kind: 'month', day: 1 } },
  ],
}

/** An ordinary call. */
export const settlement: Settlement = {
  costNano: 16_500_000,
  promptTokens: 1500,
  completionTokens: 800,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  durationMs: 1834,
  status: 'ok',
  usageSource: 'reported',
}
