import { Temporal } from 'temporal-polyfill'
import { MancipleError } from '../errors.ts'
import { formatInstant } from '../instant.ts'
import { NANO_PER_USD } from '../money.ts'
import { Calendar, QUARTER_MS, type Bounds } from '../windows.ts'
import type { Adjustment, LedgerEntry, LedgerRecord } from './record.ts'

/** The fields of an entry in the order in which tables show them: the brief's nine, then the rest. */
export const ENTRY_FIELDS = [
  'timestamp',
  'backend',
  'model',
  'prompt_tokens',
  'completion_tokens',
  'cost_usd',
  'task_id',
  'task_type',
  'duration_ms',
  'id',
  'requested_backend',
  'status',
  'usage_source',
  'cache_read_tokens',
  'cache_write_tokens',
  'reasoning_tokens',
  'price_source',
  'policy',
  'overrun',
  'requests',
] as const satisfies readonly (keyof LedgerEntry)[]

/** What an entry itself says; the other keys are its time. */
export const HISTORY_FIELDS = ['backend', 'model', 'task_type', 'task_id', 'status'] as const
export type HistoryField = (typeof HISTORY_FIELDS)[number]

/** What spend can be summed by. */
export const HISTORY_KEYS = [...HISTORY_FIELDS, 'day', 'hour'] as const
export type HistoryKey = (typeof HISTORY_KEYS)[number]

/** @example { from: new Date('2026-11-01T05:00Z'), to: new Date(), by: ['day', 'backend'], where: { task_type: 'chat' } } */
export interface HistoryQuery {
  /** Calls reserved from `from` up to, not including, `to`. */
  readonly from: Date
  readonly to: Date
  /** Keys of the rows, in this order. None: one row in all. */
  readonly by: readonly HistoryKey[]
  /** Only calls that say just this; `''` for `task_type` and `task_id`: calls without one. */
  readonly where?: { readonly [field in HistoryField]?: string }
}

/** The sums of a row, and their columns. */
export const HISTORY_FIGURES = [
  'cost_nano',
  'calls',
  'tokens',
  'prompt_tokens',
  'completion_tokens',
  'cache_read_tokens',
  'cache_write_tokens',
  'reasoning_tokens',
] as const
type HistoryFigure = (typeof HISTORY_FIGURES)[number]

/** What calls used together, corrections included: `calls` and the rest may be negative where more was corrected than called. `tokens` is input and output. A ledger in memory keeps nothing finer: there the kinds of tokens are missing. */
export type HistoryFigures = { readonly [figure in 'cost_nano' | 'calls' | 'tokens']: number } & { readonly [figure in HistoryFigure]?: number }

/**
 * What calls used, by the keys asked for. `day` is `2026-11-20`, `hour` is `2026-11-20T14:00-05:00`, both in the policy's zone;
 * `task_type` and `task_id` are `''` for calls without one.
 */
export type HistoryRow = { readonly [key in HistoryKey]?: string } & HistoryFigures

/** @throws MancipleError `QUERY_INVALID`. */
export function checkHistoryQuery({ from, to, by, where = {} }: HistoryQuery): void {
  for (const [name, date] of Object.entries({ from, to })) {
    if (!(date instanceof Date) || Number.isNaN(date.getTime())) throw invalid(`${name}: expected a Date, found ${String(date)}`)
  }
  if (from > to) throw invalid(`from ${from.toISOString()} comes after to ${to.toISOString()}`)
  for (const key of by) if (!HISTORY_KEYS.includes(key)) throw invalid(`by: expected ${HISTORY_KEYS.join(', ')}, found ${JSON.stringify(key)}`)
  if (new Set(by).size < by.length) throw invalid(`by: ${by.join(', ')} names a key twice`)
  for (const [field, text] of Object.entries(where)) {
    const known: readonly string[] = HISTORY_FIELDS
    if (!known.includes(field)) throw invalid(`where: expected ${HISTORY_FIELDS.join(', ')}, found ${JSON.stringify(field)}`)
    if (typeof text !== 'string') throw invalid(`where.${field}: expected a text, found ${String(text)}`)
  }
}

function invalid(found: string): MancipleError {
  return new MancipleError('QUERY_INVALID', found)
}

/** The entry that a record adds to history: the one place where kinds of records are mapped to calls. */
export function entryOf(record: LedgerRecord): LedgerEntry | undefined {
  if (record.type === 'settle' || record.type === 'import') return record.entry
  return record.type === 'adjust' && 'adjustment' in record ? adjustedEntry(record.adjustment) : undefined
}

/** A correction as history has it. */
export function adjustedEntry(adjustment: Adjustment): LedgerEntry {
  const { timestamp, backend, model, prompt_tokens, completion_tokens, cost_usd, task_id, task_type, id, policy, requests } = adjustment
  return {
    timestamp,
    backend,
    model,
    prompt_tokens,
    completion_tokens,
    cost_usd,
    task_id,
    task_type,
    duration_ms: 0,
    id,
    requested_backend: null,
    status: 'adjusted',
    usage_source: 'reported',
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    price_source: 'given',
    policy,
    requests,
  }
}

export function isAsked(entry: LedgerEntry, { from, to, where = {} }: HistoryQuery): boolean {
  const ms = Date.parse(entry.timestamp)
  if (ms < from.getTime() || ms >= to.getTime()) return false
  return HISTORY_FIELDS.every((field) => where[field] === undefined || where[field] === (entry[field] ?? ''))
}

/** Part of the time that rows are made for. */
export interface Span extends Bounds {
  readonly day: string
  readonly hour: string
}

const ALL_TIME: Span = { startMs: Number.NEGATIVE_INFINITY, endMs: Number.POSITIVE_INFINITY, day: '', hour: '' }

/** Time cut as the keys of a query ask: into hours, else days, of the zone; else one span. */
export class Timeline {
  readonly #grain: 'hour' | 'day' | 'all'
  readonly #zone: string
  readonly #calendar: Calendar
  #last: Span = { startMs: 0, endMs: 0, day: '', hour: '' }

  constructor(by: readonly HistoryKey[], zone: string) {
    this.#grain = by.includes('hour') ? 'hour' : by.includes('day') ? 'day' : 'all'
    this.#zone = zone
    this.#calendar = new Calendar(zone)
  }

  /** The span that `ms` falls in. Spans leave no gap and do not overlap. */
  at(ms: number): Span {
    if (ms < this.#last.startMs || ms >= this.#last.endMs) this.#last = this.#find(ms)
    return this.#last
  }

  /** All spans of the time from `startMs` up to `endMs`; the first and the last are cut to it. */
  *within(startMs: number, endMs: number): Generator<Span> {
    for (let ms = startMs; ms < endMs;) {
      const span = this.at(ms)
      yield { ...span, startMs: ms, endMs: Math.min(span.endMs, endMs) }
      ms = span.endMs
    }
  }

  #find(ms: number): Span {
    if (this.#grain === 'all') return ALL_TIME
    const bounds = this.#calendar.bounds({ kind: 'day' }, ms)
    const day = formatInstant(bounds.startMs, this.#zone).slice(0, 10)
    return this.#grain === 'day' ? { ...bounds, day, hour: '' } : { ...hourOf(ms, this.#zone), day }
  }
}

/** The hour of local time that `ms` falls in: shorter, or come twice with another offset, where the clocks are changed. */
function hourOf(ms: number, zone: string): Bounds & { readonly hour: string } {
  const at = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone)
  const { offsetNanoseconds } = at
  const changed = (edgeMs: number): boolean => Temporal.Instant.fromEpochMilliseconds(edgeMs).toZonedDateTimeISO(zone).offsetNanoseconds !== offsetNanoseconds
  const since = at.subtract({ minutes: at.minute, seconds: at.second, milliseconds: at.millisecond })
  let startMs = since.epochMilliseconds
  let endMs = startMs + 3_600_000
  // `previous` is strictly before: asked from the next millisecond, so that a change at `ms` itself is found.
  if (changed(startMs)) startMs = at.add({ milliseconds: 1 }).getTimeZoneTransition('previous')?.epochMilliseconds ?? startMs
  if (changed(endMs - 1)) endMs = at.getTimeZoneTransition('next')?.epochMilliseconds ?? endMs
  const start = Temporal.Instant.fromEpochMilliseconds(startMs).toZonedDateTimeISO(zone)
  return { startMs, endMs, hour: start.toString({ smallestUnit: 'minute', timeZoneName: 'never' }) }
}

/** A piece of time that starts and ends where whole buckets of `grainMs` do; 0: no bucket is that fine. */
export interface Piece extends Bounds {
  readonly grainMs: number
}

/** Sizes of the buckets that sums are kept for, each a multiple of the next. A local day of any zone is made of quarter-hours. */
export const GRAINS_MS = [86_400_000, 21_600_000, 3_600_000, QUARTER_MS] as const

/** Cuts a time into as few buckets as there are: days of UTC in the middle, finer ones on both sides, and the ragged ends. */
export function* piecesOf(startMs: number, endMs: number, grains: readonly number[] = GRAINS_MS): Generator<Piece> {
  const [grainMs, ...finer] = grains
  if (grainMs === undefined) {
    if (startMs < endMs) yield { grainMs: 0, startMs, endMs }
    return
  }
  const firstMs = Math.ceil(startMs / grainMs) * grainMs
  const lastMs = Math.floor(endMs / grainMs) * grainMs
  if (firstMs >= lastMs) return yield* piecesOf(startMs, endMs, finer)
  yield* piecesOf(startMs, firstMs, finer)
  yield { grainMs, startMs: firstMs, endMs: lastMs }
  yield* piecesOf(lastMs, endMs, finer)
}

/** The keys of a query that are fields, in its order. */
export function fieldsOf({ by }: HistoryQuery): readonly HistoryField[] {
  return by.filter((key) => key !== 'day' && key !== 'hour')
}

interface Sum {
  readonly startMs: number
  readonly keys: Readonly<Record<string, string>>
  readonly figures: Record<'cost_nano' | 'calls' | 'tokens', number> & Partial<Record<HistoryFigure, number>>
}

/** Sums by the keys of a query. */
export class Tally {
  readonly #by: readonly HistoryKey[]
  readonly #sums = new Map<string, Sum>()

  constructor({ by }: HistoryQuery) {
    this.#by = by
  }

  /** @throws RangeError where a sum would no longer be exact. */
  add(span: Span, fields: { readonly [field in HistoryField]?: string | null }, figures: HistoryFigures): void {
    const keys = Object.fromEntries(this.#by.map((key) => [key, key === 'day' || key === 'hour' ? span[key] : (fields[key] ?? '')]))
    const id = JSON.stringify(keys)
    let sum = this.#sums.get(id)
    if (sum === undefined) {
      sum = { startMs: span.startMs, keys, figures: { cost_nano: 0, calls: 0, tokens: 0 } }
      this.#sums.set(id, sum)
    }
    for (const figure of HISTORY_FIGURES) {
      const more = figures[figure]
      if (more !== undefined) sum.figures[figure] = exact((sum.figures[figure] ?? 0) + more)
    }
  }

  /** Oldest first where time is a key, then dearest first. */
  rows(): readonly HistoryRow[] {
    const sums = [...this.#sums].sort(
      ([leftId, left], [rightId, right]) =>
        (left.startMs === right.startMs ? 0 : left.startMs - right.startMs) || right.figures.cost_nano - left.figures.cost_nano || (leftId < rightId ? -1 : 1),
    )
    return sums.map(([, { keys, figures }]) => ({ ...keys, ...figures }))
  }
}

/** One entry's share of the sums. */
export function figuresOf(entry: LedgerEntry): Required<HistoryFigures> {
  const { prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens } = entry
  return {
    cost_nano: Math.round(entry.cost_usd * NANO_PER_USD),
    calls: entry.requests ?? 1,
    tokens: prompt_tokens + completion_tokens,
    prompt_tokens,
    completion_tokens,
    cache_read_tokens,
    cache_write_tokens,
    reasoning_tokens,
  }
}

function exact(sum: number): number {
  if (!Number.isSafeInteger(sum)) throw new RangeError(`A total of ${sum} is beyond what can be counted exactly.`)
  return sum
}
