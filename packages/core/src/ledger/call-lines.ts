import type { CandidateRecord } from '../decision.ts'
import type { Hold, LedgerEntry } from './record.ts'

/** Fields that a record stands in, flat and in snake_case. */
type Fields = Readonly<Record<string, unknown>>
type Check = (value: unknown) => boolean
type Checks = readonly (readonly [field: string, check: Check])[]

const isText: Check = (value) => typeof value === 'string'
const isTextOrNull: Check = (value) => value === null || typeof value === 'string'
const isNumber: Check = (value) => typeof value === 'number'
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText)
const oneOf = (...texts: readonly string[]): Check => {
  const known = new Set<unknown>(texts)
  return (value) => known.has(value)
}
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)

/** For each field of the type: one that it gains is an error until it is checked. */
function checksOf<T>(checks: { readonly [field in keyof Required<T>]: Check }): Checks {
  return Object.entries<Check>(checks)
}

const ENTRY = checksOf<Omit<LedgerEntry, 'requests'>>({
  timestamp: isText,
  backend: isText,
  model: isText,
  prompt_tokens: isCount,
  completion_tokens: isCount,
  cost_usd: isNumber,
  task_id: isTextOrNull,
  task_type: isTextOrNull,
  duration_ms: isNumber,
  id: isText,
  requested_backend: isTextOrNull,
  status: oneOf('ok', 'error', 'aborted', 'cut', 'expired', 'imported'),
  usage_source: oneOf('reported', 'partial', 'hold'),
  cache_read_tokens: isCount,
  cache_write_tokens: isCount,
  reasoning_tokens: isCount,
  price_source: oneOf('list', 'policy', 'free', 'given'),
  policy: isText,
  overrun: orAbsent((value) => value === true),
})

const CANDIDATE = checksOf<CandidateRecord>({
  backend: isText,
  model: isText,
  estimate_nano: (value) => value === null || isNumber(value),
  score: isNumber,
  out: orAbsent(oneOf('forbidden', 'no-room', 'price-unknown', 'outscored', 'not-asked')),
  limits: orAbsent(isTexts),
  rules: orAbsent(isTexts),
})

interface ReserveLine {
  readonly timestamp: string
  readonly backend: string
  readonly kind: Hold['kind']
  readonly model: string
  readonly task_id: string | null
  readonly task_type: string | null
  readonly id: string
  readonly requested_backend: string | null
  readonly input_tokens: number
  readonly max_output_tokens: number
  readonly estimate_nano: number
  readonly estimate_tokens: number
  readonly estimate_requests: number
  readonly price_source: Hold['priceSource']
  readonly policy: string
  readonly candidates: readonly CandidateRecord[]
}

const RESERVE = checksOf<ReserveLine>({
  timestamp: isText,
  backend: isText,
  kind: oneOf('cloud', 'local'),
  model: isText,
  task_id: isTextOrNull,
  task_type: isTextOrNull,
  id: isText,
  requested_backend: isTextOrNull,
  input_tokens: isCount,
  max_output_tokens: isCount,
  estimate_nano: isCount,
  estimate_tokens: isCount,
  estimate_requests: isCount,
  price_source: oneOf('list', 'policy', 'free'),
  policy: isText,
  candidates: (value) => Array.isArray(value) && value.every((one) => isObject(one) && hasAll(one, CANDIDATE)),
})

/** A call as its line says it, without what a later version may have added; undefined where a field is missing or of another type. By hand: nearly all lines are calls, and a schema takes longer than all else. */
export function entryFrom(fields: Fields): LedgerEntry | undefined {
  if (!isEntry(fields)) return undefined
  const entry: LedgerEntry = {
    timestamp: fields.timestamp,
    backend: fields.backend,
    model: fields.model,
    prompt_tokens: fields.prompt_tokens,
    completion_tokens: fields.completion_tokens,
    cost_usd: fields.cost_usd,
    task_id: fields.task_id,
    task_type: fields.task_type,
    duration_ms: fields.duration_ms,
    id: fields.id,
    requested_backend: fields.requested_backend,
    status: fields.status,
    usage_source: fields.usage_source,
    cache_read_tokens: fields.cache_read_tokens,
    cache_write_tokens: fields.cache_write_tokens,
    reasoning_tokens: fields.reasoning_tokens,
    price_source: fields.price_source,
    policy: fields.policy,
  }
  return fields.overrun === true ? { ...entry, overrun: true } : entry
}

/** A hold as its line says it; undefined as with {@link entryFrom}. */
export function holdFrom(fields: Fields): Hold | undefined {
  if (!isReserveLine(fields)) return undefined
  const atMs = Date.parse(fields.timestamp)
  if (Number.isNaN(atMs)) return undefined
  return {
    id: fields.id,
    atMs,
    backend: fields.backend,
    kind: fields.kind,
    model: fields.model,
    taskId: fields.task_id,
    taskType: fields.task_type,
    requestedBackend: fields.requested_backend,
    inputTokens: fields.input_tokens,
    maxOutputTokens: fields.max_output_tokens,
    estimate: { costNano: fields.estimate_nano, tokens: fields.estimate_tokens, requests: fields.estimate_requests },
    priceSource: fields.price_source,
    policy: fields.policy,
    candidates: fields.candidates,
  }
}

function isEntry(fields: object): fields is LedgerEntry {
  return hasAll(fields, ENTRY)
}

function isReserveLine(fields: object): fields is ReserveLine {
  return hasAll(fields, RESERVE)
}

function hasAll(fields: object, checks: Checks): boolean {
  for (const [field, check] of checks) if (!check(Reflect.get(fields, field))) return false
  return true
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
