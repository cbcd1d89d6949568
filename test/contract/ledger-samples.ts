import type { LedgerPolicy, Reserved } from '../../packages/core/src/ledger/ledger.ts'
import type { AdjustOrder, Hold, ImportOrder, ReserveOrder, Settlement } from '../../packages/core/src/ledger/record.ts'
import type { Limit } from '../../packages/core/src/limit.ts'
import type { NoticeBody } from '../../packages/core/src/notices/notice.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** Friday 20 November 2026, 15:00 UTC: 10:00 in New York. */
export const START_MS = Date.UTC(2026, 10, 20, 15)

/** One cloud call to Claude: at most $0.05 and 3,000 tokens. */
export function order(over: Partial<ReserveOrder> = {}): ReserveOrder {
  return {
    atMs: START_MS,
    backend: 'claude',
    kind: 'cloud',
    model: 'claude-sonnet-4-20250514',
    taskId: 'task-1',
    taskType: 'reasoning',
    requestedBackend: 'claude',
    inputTokens: 1500,
    maxOutputTokens: 1500,
    estimate: { costNano: 50_000_000, tokens: 3000, requests: 1 },
    priceSource: 'list',
    policy: 'v1',
    candidates: [],
    ...over,
  }
}

/** What came of it: 1,500 + 800 tokens, $0.0165. */
export function settlement(over: Partial<Settlement> = {}): Settlement {
  return {
    costNano: 16_500_000,
    promptTokens: 1500,
    completionTokens: 800,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    durationMs: 2300,
    status: 'ok',
    usageSource: 'reported',
    ...over,
  }
}

/** $0.01 and 100 tokens more for Claude, as of now. */
export function adjustment(over: Partial<AdjustOrder> = {}): AdjustOrder {
  return {
    atMs: START_MS,
    spentMs: START_MS,
    backend: 'claude',
    kind: 'cloud',
    model: 'claude-sonnet-4-20250514',
    taskId: null,
    taskType: 'reasoning',
    costNano: 10_000_000,
    promptTokens: 100,
    completionTokens: 0,
    requests: 0,
    reason: 'the invoice says so',
    ...over,
  }
}

/** A call of an hour ago that Manciple did not rule: 1,500 + 800 tokens, $0.0165. */
export function importOrder(over: Partial<ImportOrder> = {}): ImportOrder {
  return {
    atMs: START_MS,
    spentMs: START_MS - HOUR_MS,
    backend: 'claude',
    kind: 'cloud',
    model: 'claude-sonnet-4-20250514',
    taskId: null,
    taskType: 'reasoning',
    costNano: 16_500_000,
    promptTokens: 1500,
    completionTokens: 800,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    durationMs: 2300,
    priceSource: 'given',
    id: 'import-1',
    source: 'csv',
    ...over,
  }
}

/** $5 a day, all cloud backends, hard. */
export function limit(over: Partial<Limit> = {}): Limit {
  return { name: 'all.day', quantity: 5_000_000_000, unit: 'usd', window: { kind: 'day' }, scope: {}, hard: true, ...over }
}

export function policy(limits: readonly Limit[] = [limit()], over: Partial<LedgerPolicy> = {}): LedgerPolicy {
  return { version: 'v1', text: 'budgets: {}', timezone: 'America/New_York', limits, ...over }
}

export function notice(over: Partial<NoticeBody> = {}): NoticeBody {
  return { severity: 'warning', kind: 'limit-near', scope: 'all.day', episode: 'all.day@2026-11-20', text: 'all.day is at 80 %', data: {}, ...over }
}

/** The hold of a reservation that has to succeed. */
export function held(reserved: Reserved): Hold {
  if (!reserved.ok) throw new Error(`refused by ${reserved.limits.join(', ')}`)
  return reserved.hold
}
