import { MancipleError, type ErrorCode } from '../errors.ts'
import { isoInstant } from '../instant.ts'
import { nanoToUsd } from '../money.ts'
import type { Adjustment, AdjustOrder, ImportOrder, LedgerEntry } from './record.ts'

/** Up to here `cost_usd` gives back the very nano-USD that it came from: a million USD. */
export const MAX_CALL_NANO = 1e15

/** @throws MancipleError `ADJUST_INVALID` naming the field. */
export function checkAdjustment(order: AdjustOrder): void {
  checkBasics('ADJUST_INVALID', order)
  if (order.reason === '') throw new MancipleError('ADJUST_INVALID', 'reason: expected a text, found none')
  for (const field of ['costNano', 'promptTokens', 'completionTokens', 'requests'] as const) whole('ADJUST_INVALID', order, field, -MAX_CALL_NANO)
}

export function adjustmentOf(id: string, order: AdjustOrder, policy: string): Adjustment {
  return {
    timestamp: isoInstant(order.spentMs),
    backend: order.backend,
    kind: order.kind,
    model: order.model,
    prompt_tokens: order.promptTokens,
    completion_tokens: order.completionTokens,
    cost_usd: nanoToUsd(order.costNano),
    task_id: order.taskId,
    task_type: order.taskType,
    requests: order.requests,
    id,
    policy,
  }
}

const COUNTS = ['costNano', 'promptTokens', 'completionTokens', 'cacheReadTokens', 'cacheWriteTokens', 'reasoningTokens', 'durationMs'] as const

/** @throws MancipleError `IMPORT_INVALID` naming the field. */
export function checkImport(order: ImportOrder): void {
  checkBasics('IMPORT_INVALID', order)
  if (order.id === '') throw new MancipleError('IMPORT_INVALID', 'id: expected a text, found none')
  for (const field of COUNTS) whole('IMPORT_INVALID', order, field, 0)
}

/** Field by field: nothing that a caller adds gets into the journal. */
export function importedOf(order: ImportOrder, policy: string): LedgerEntry {
  return {
    timestamp: isoInstant(order.spentMs),
    backend: order.backend,
    model: order.model,
    prompt_tokens: order.promptTokens,
    completion_tokens: order.completionTokens,
    cost_usd: nanoToUsd(order.costNano),
    task_id: order.taskId,
    task_type: order.taskType,
    duration_ms: order.durationMs,
    id: order.id,
    requested_backend: null,
    status: 'imported',
    usage_source: 'reported',
    cache_read_tokens: order.cacheReadTokens,
    cache_write_tokens: order.cacheWriteTokens,
    reasoning_tokens: order.reasoningTokens,
    price_source: order.priceSource,
    policy,
  }
}

function checkBasics(code: ErrorCode, { atMs, spentMs, backend }: AdjustOrder | ImportOrder): void {
  if (backend === '') throw new MancipleError(code, 'backend: expected a name, found none')
  // Also where it is no number.
  if (!(spentMs >= 0 && spentMs <= atMs)) throw new MancipleError(code, `time: expected one up to ${isoInstant(atMs)}, found ${textOf(spentMs)}`)
}

function whole<F extends string>(code: ErrorCode, order: { readonly [field in F]: number }, field: F, least: number): void {
  const value = order[field]
  if (Number.isSafeInteger(value) && value >= least && value <= MAX_CALL_NANO) return
  throw new MancipleError(code, `${field}: expected a whole number from ${least} to ${MAX_CALL_NANO}, found ${String(value)}`)
}

function textOf(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? isoInstant(ms) : String(ms)
}
