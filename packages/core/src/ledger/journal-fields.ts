import { z } from 'zod'
import type { CandidateRecord } from '../decision.ts'
import { isoInstant } from '../instant.ts'
import { entryFrom, holdFrom } from './call-lines.ts'
import type { Adjustment, LedgerEntry, LedgerRecord } from './record.ts'

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
    case 'adjust':
      return 'presumed' in record
        ? { time: record.time, reason: record.reason, presumed: record.presumed }
        : { time: record.time, reason: record.reason, ...record.adjustment }
    case 'import':
      return { time: record.time, source: record.source, kind: record.kind, ...record.entry }
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
const candidate = z.object({
  backend: text,
  model: text,
  estimate_nano: z.number().nullable(),
  score: z.number(),
  out: z.exactOptional(z.enum(['forbidden', 'no-room', 'price-unknown', 'outscored', 'not-asked'])),
  limits: z.exactOptional(z.array(text)),
  rules: z.exactOptional(z.array(text)),
}) satisfies z.ZodType<CandidateRecord>

const kind = z.enum(['cloud', 'local'])
const time = text.refine((value) => !Number.isNaN(Date.parse(value)))
const importFields = z.object({ timestamp: time, time, source: text, kind })
const adjustment = z.object({
  timestamp: time,
  backend: text,
  kind,
  model: text,
  prompt_tokens: whole,
  completion_tokens: whole,
  cost_usd: z.number(),
  task_id: textOrNull,
  task_type: textOrNull,
  requests: whole,
  id: text,
  policy: text,
}) satisfies z.ZodType<Adjustment>

/** Flat lines back to records, but for calls, which {@link entryFrom} and {@link holdFrom} read. Fields that a later version adds are passed over; `format` guards against a change of meaning. */
const RECORDS = {
  open: z.object({ ledger: text, session: text, time: text, format: z.literal(1) }).transform((line) => ({ type: 'open' as const, ...line })),
  policy: z.object({ time: text, version: text, text }).transform((line) => ({ type: 'policy' as const, ...line })),
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
  observe: z
    .object({
      backend: text,
      used: z.number(),
      at: text,
      source: text,
      limit: z.exactOptional(text),
      settled: z.exactOptional(z.number()),
      until: z.exactOptional(time),
    })
    .transform((line) => ({ type: 'observe' as const, observation: line })),
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
  adjust: z.union([
    z.object({ time, reason: text, presumed: text }).transform((line) => ({ type: 'adjust' as const, ...line })),
    adjustment.extend({ time, reason: text }).transform(({ time: at, reason, ...rest }) => ({ type: 'adjust' as const, time: at, reason, adjustment: rest })),
  ]),
  repair: z
    .object({ number: whole, time: text, lost: z.array(z.object({ from: whole, to: whole })), bytes: count, salvaged: count, files: z.array(text) })
    .transform((line) => ({ type: 'repair' as const, ...line })),
  seal: z.object({ sha256: z.string().length(64) }).transform((line) => ({ type: 'seal' as const, ...line })),
} satisfies Record<Exclude<JournalRecord['type'], 'reserve' | 'settle' | 'import'>, z.ZodType<JournalRecord>>

/** The inverse of {@link fieldsOf}: undefined where a field is missing or of another type. */
export function recordOf(fields: Readonly<Record<string, unknown>>): JournalRecord | undefined {
  const type = fields['type']
  if (type === 'settle') return recordIf(entryFrom(fields), (entry) => ({ type, entry }))
  if (type === 'reserve') return recordIf(holdFrom(fields), (hold) => ({ type, hold }))
  if (type === 'import') return recordIf(entryFrom(fields), (entry) => importOf(fields, entry))
  if (typeof type !== 'string' || !Object.hasOwn(RECORDS, type)) return undefined
  return RECORDS[type as keyof typeof RECORDS].safeParse(fields).data
}

function importOf(fields: Readonly<Record<string, unknown>>, entry: LedgerEntry): JournalRecord | undefined {
  const found = importFields.safeParse(fields).data
  return found && { type: 'import', time: found.time, source: found.source, kind: found.kind, entry }
}

function recordIf<T>(part: T | undefined, record: (part: T) => JournalRecord | undefined): JournalRecord | undefined {
  return part === undefined ? undefined : record(part)
}
