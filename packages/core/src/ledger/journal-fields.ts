import { z } from 'zod'
import type { CandidateRecord } from '../decision.ts'
import { isoInstant } from '../instant.ts'
import type { LedgerEntry, LedgerRecord } from './record.ts'

/** Ends a segment: the SHA-256 of every byte of the segment before this line, in hex. */
export interface Seal {
  readonly type: 'seal'
  readonly sha256: string
}

export type JournalRecord = LedgerRecord | Seal

/** A record's own fields, flat and in snake_case, so that `jq` and `grep` find them. An entry stands as it is. */
export function fieldsOf(record: JournalRecord): object {
  switch (record.type) {
    case 'settle':
      return record.entry
    case 'reserve': {
      const { hold } = record
      return {
        timestamp: timestampOf(hold.atMs),
        backend: hold.backend,
        kind: hold.kind,
        model: hold.model,
        task_id: hold.taskId,
        task_type: hold.taskType,
        id: hold.id,
        requested_backend: hold.requestedBackend,
        input_tokens: hold.inputTokens,
        max_output_tokens: hold.maxOutputTokens,
        estimate_nano: hold.estimate.costNano,
        estimate_tokens: hold.estimate.tokens,
        estimate_requests: hold.estimate.requests,
        price_source: hold.priceSource,
        policy: hold.policy,
        candidates: hold.candidates,
      }
    }
    case 'refuse': {
      const { order } = record
      return {
        timestamp: timestampOf(order.atMs),
        task_id: order.taskId,
        task_type: order.taskType,
        requested_backend: order.requestedBackend,
        reason: order.reason,
        policy: order.policy,
        candidates: order.candidates,
      }
    }
    case 'observe':
      return record.observation
    case 'notice':
      return record.clears === undefined ? record.notice : { ...record.notice, clears: record.clears }
    default: {
      const { type: _, ...fields } = record
      return fields
    }
  }
}

let lastMs = 0
let lastText = isoInstant(0)

/** {@link isoInstant}, which costs as much as the rest of a line: reserves that are written together mostly share their millisecond. */
function timestampOf(ms: number): string {
  if (ms !== lastMs) {
    lastText = isoInstant(ms)
    lastMs = ms
  }
  return lastText
}

const text = z.string()
const textOrNull = z.string().nullable()
const whole = z.int()
const count = z.int().nonnegative()
const instant = z.string().transform((value, context) => {
  const ms = Date.parse(value)
  if (Number.isNaN(ms)) context.addIssue('not a time')
  return ms
})
const priceSource = z.enum(['list', 'policy', 'free'])

const candidate = z.object({
  backend: text,
  model: text,
  estimate_nano: z.number().nullable(),
  score: z.number(),
  out: z.exactOptional(z.enum(['forbidden', 'no-room', 'price-unknown', 'outscored', 'not-asked'])),
  limits: z.exactOptional(z.array(text)),
  rules: z.exactOptional(z.array(text)),
}) satisfies z.ZodType<CandidateRecord>

const entry = z.object({
  timestamp: text,
  backend: text,
  model: text,
  prompt_tokens: count,
  completion_tokens: count,
  cost_usd: z.number(),
  task_id: textOrNull,
  task_type: textOrNull,
  duration_ms: z.number(),
  id: text,
  requested_backend: textOrNull,
  status: z.enum(['ok', 'error', 'aborted', 'cut', 'expired']),
  usage_source: z.enum(['reported', 'partial', 'hold']),
  cache_read_tokens: count,
  cache_write_tokens: count,
  reasoning_tokens: count,
  price_source: priceSource,
  policy: text,
  overrun: z.exactOptional(z.literal(true)),
}) satisfies z.ZodType<LedgerEntry>

/** Flat lines back to records. Fields that a later version adds are passed over; `format` guards against a change of meaning. */
const RECORDS = {
  open: z.object({ ledger: text, session: text, time: text, format: z.literal(1) }).transform((line) => ({ type: 'open' as const, ...line })),
  policy: z.object({ time: text, version: text, text }).transform((line) => ({ type: 'policy' as const, ...line })),
  reserve: z
    .object({
      timestamp: instant,
      backend: text,
      kind: z.enum(['cloud', 'local']),
      model: text,
      task_id: textOrNull,
      task_type: textOrNull,
      id: text,
      requested_backend: textOrNull,
      input_tokens: count,
      max_output_tokens: count,
      estimate_nano: count,
      estimate_tokens: count,
      estimate_requests: count,
      price_source: priceSource,
      policy: text,
      candidates: z.array(candidate),
    })
    .transform((line) => ({
      type: 'reserve' as const,
      hold: {
        id: line.id,
        atMs: line.timestamp,
        backend: line.backend,
        kind: line.kind,
        model: line.model,
        taskId: line.task_id,
        taskType: line.task_type,
        requestedBackend: line.requested_backend,
        inputTokens: line.input_tokens,
        maxOutputTokens: line.max_output_tokens,
        estimate: { costNano: line.estimate_nano, tokens: line.estimate_tokens, requests: line.estimate_requests },
        priceSource: line.price_source,
        policy: line.policy,
        candidates: line.candidates,
      },
    })),
  settle: entry.transform((line) => ({ type: 'settle' as const, entry: line })),
  release: z.object({ id: text, time: text, reason: text }).transform((line) => ({ type: 'release' as const, ...line })),
  expire: z.object({ id: text, time: text }).transform((line) => ({ type: 'expire' as const, ...line })),
  refuse: z
    .object({
      timestamp: instant,
      task_id: textOrNull,
      task_type: textOrNull,
      requested_backend: textOrNull,
      reason: text,
      policy: text,
      candidates: z.array(candidate),
    })
    .transform((line) => ({
      type: 'refuse' as const,
      order: {
        atMs: line.timestamp,
        taskId: line.task_id,
        taskType: line.task_type,
        requestedBackend: line.requested_backend,
        reason: line.reason,
        policy: line.policy,
        candidates: line.candidates,
      },
    })),
  observe: z.object({ backend: text, used: z.number(), at: text, source: text }).transform((line) => ({ type: 'observe' as const, observation: line })),
  notice: z
    .object({
      severity: z.enum(['info', 'advice', 'warning', 'alert']),
      kind: text,
      scope: text,
      episode: text,
      text,
      data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
      number: whole,
      time: text,
      clears: z.exactOptional(z.array(text)),
    })
    .transform(({ clears, ...notice }) => (clears === undefined ? { type: 'notice' as const, notice } : { type: 'notice' as const, notice, clears })),
  seal: z.object({ sha256: z.string().length(64) }).transform((line) => ({ type: 'seal' as const, ...line })),
} satisfies Record<JournalRecord['type'], z.ZodType<JournalRecord>>

/** The inverse of {@link fieldsOf}: undefined where a field is missing or of another type. */
export function recordOf(fields: Record<string, unknown>): JournalRecord | undefined {
  const type = fields['type']
  if (typeof type !== 'string' || !Object.hasOwn(RECORDS, type)) return undefined
  return RECORDS[type as JournalRecord['type']].safeParse(fields).data
}
