import {
  formatInstant,
  type BudgetReport,
  type CostsReport,
  type HistoryRow,
  type LedgerFault,
  type LimitReport,
  type QuotaReport,
  type Spend,
  type Standing,
  type Unit,
} from '@manciple/core'
import { PROTOCOL_VERSION, writeFrame } from './messages.ts'

/** Nano-USD at list price, and calls, of one backend on one day. */
interface DaySpend {
  readonly cost_nano: number
  readonly calls: number
}

/** All that the game shows as of one moment. Money in nano-USD, times in ISO 8601 UTC; the game sums nothing. */
export interface SnapshotData {
  readonly at: string
  readonly timezone: string
  /** Version of the policy in force. */
  readonly policy: string
  /** Whether the router has written anything of late. */
  readonly source: { readonly alive: boolean; readonly last_record: string | null }
  readonly local_only: { readonly since: string; readonly until: string | null; readonly text: string } | null
  readonly spent: {
    readonly today_nano: number
    readonly week_nano: number
    readonly month_nano: number
    readonly today_calls: number
    readonly month_calls: number
  }
  readonly limits: readonly {
    readonly name: string
    readonly unit: Unit
    readonly window: string
    readonly quantity: number
    readonly settled: number
    readonly held: number
    readonly presumed: number
    readonly free: number
    readonly standing: Standing
    readonly resets: string | null
    readonly hard: boolean
  }[]
  readonly backends: readonly ({ readonly name: string; readonly kind: 'cloud' | 'local' } & SnapshotData['spent'])[]
  readonly quotas: readonly {
    readonly backend: string
    readonly unit: Unit
    readonly quantity: number
    readonly settled: number
    readonly utilization: number
    readonly elapsed: number
    readonly pace: number | null
    readonly forecast: { readonly low: number; readonly mid: number; readonly high: number } | null
    readonly lapse_nano: number | null
    readonly floor: number
    readonly starts: string | null
    readonly resets: string | null
  }[]
  readonly total: { readonly utilization: number; readonly elapsed: number; readonly pace: number | null; readonly floor: number }
  /** Local days of the policy's zone, oldest first. */
  readonly days: readonly { readonly day: string; readonly backends: Readonly<Record<string, DaySpend>> }[]
}

/** The local day of a time, and the 29 before it, oldest first. */
export function daysUpTo(nowMs: number, zone: string): readonly string[] {
  const today = Date.parse(formatInstant(nowMs, zone).slice(0, 10))
  return Array.from({ length: DAYS }, (_, index) => isoDay(today - (DAYS - 1 - index) * DAY_MS))
}

/** The Monday of the week that a local day is in. */
export function mondayOf(day: string): string {
  const ms = Date.parse(day)
  return isoDay(ms - ((new Date(ms).getUTCDay() + 6) % 7) * DAY_MS)
}

function isoDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

/** What a snapshot is made of. */
export interface SnapshotSource {
  readonly costs: CostsReport
  readonly budget: BudgetReport
  readonly kinds: ReadonlyMap<string, 'cloud' | 'local'>
  /** By day and backend, of {@link daysUpTo} at least. */
  readonly history: readonly HistoryRow[]
  readonly fault: LedgerFault | undefined
  readonly alive: boolean
  readonly lastRecord: string
}

export const DAYS = 30
export const DAY_MS = 86_400_000
/** Of each list. A policy may have a thousand limits; a room in a game has no use for them. */
const MAX_LISTED = 40

export function snapshotOf(source: SnapshotSource): SnapshotData {
  const { costs, budget, history, fault, alive, lastRecord } = source
  const days = daysUpTo(Date.parse(costs.at), costs.timezone)
  const monday = mondayOf(days.at(-1) ?? '')
  const week = history.filter(({ day = '' }) => day >= monday)
  return {
    at: costs.at,
    timezone: costs.timezone,
    policy: costs.policy,
    source: { alive, last_record: lastRecord },
    local_only: fault === undefined ? localOnlyOf(budget) : { since: fault.since, until: null, text: `Cloud calls are stopped: ${fault.reason}` },
    spent: spentOf(costs.today, week, costs.month),
    limits: mostUsed(budget.limits).map(limitOf),
    backends: costs.backends.slice(0, MAX_LISTED).map(({ backend, today, month }) => ({
      name: backend,
      kind: source.kinds.get(backend) ?? 'cloud',
      ...spentOf(
        today,
        week.filter((row) => row.backend === backend),
        month,
      ),
    })),
    quotas: budget.quotas.slice(0, MAX_LISTED).map(quotaOf),
    total: progressOf(budget.total),
    days: days.map((day) => ({ day, backends: backendsOf(history.filter((row) => row.day === day)) })),
  }
}

/** The frame with the snapshot. Where it is too large, the oldest days go first. */
export function snapshotFrame(data: SnapshotData, envelope: { readonly stream: string; readonly rev: number; readonly id: number }, bytes: number): string {
  for (let from = 0; ; from += 5) {
    const frame = writeFrame('costs_snapshot', { v: PROTOCOL_VERSION, ...envelope, data: { ...data, days: data.days.slice(from) } })
    if (frame.length <= bytes || from >= data.days.length) return frame
  }
}

function localOnlyOf({ localOnly }: BudgetReport): SnapshotData['local_only'] {
  if (localOnly === null) return null
  const { reset } = localOnly.data
  return { since: localOnly.time, until: typeof reset === 'string' ? reset : null, text: localOnly.text }
}

function spentOf(today: Spend, week: readonly HistoryRow[], month: Spend): SnapshotData['spent'] {
  return {
    today_nano: today.costNano,
    week_nano: week.reduce((sum, row) => sum + row.cost_nano, 0),
    month_nano: month.costNano,
    today_calls: callsOf(today.requests),
    month_calls: callsOf(month.requests),
  }
}

/** All of them in the policy's order; of too many those that are spent most. */
function mostUsed(limits: readonly LimitReport[]): readonly LimitReport[] {
  if (limits.length <= MAX_LISTED) return limits
  const kept = new Set(limits.toSorted((a, b) => b.spent - a.spent).slice(0, MAX_LISTED))
  return limits.filter((limit) => kept.has(limit))
}

/** What was used beside the router is gone as well: the game has one word for both. */
function limitOf({
  limit,
  unit,
  window,
  quantity,
  settled,
  held,
  presumed,
  beside,
  free,
  standing,
  resets,
  hard,
}: LimitReport): SnapshotData['limits'][number] {
  return { name: limit, unit, window, quantity, settled: settled + beside, held, presumed, free, standing, resets, hard }
}

function quotaOf(quota: QuotaReport): SnapshotData['quotas'][number] {
  const { backend, unit, quantity, settled, forecast, lapseNano, began, resets } = quota
  return { backend, unit, quantity, settled, ...progressOf(quota), forecast, lapse_nano: lapseNano, starts: began, resets }
}

function progressOf({ utilization, elapsed, pace, floor }: SnapshotData['total']): SnapshotData['total'] {
  return { utilization, elapsed, pace, floor }
}

function backendsOf(rows: readonly HistoryRow[]): Readonly<Record<string, DaySpend>> {
  return Object.fromEntries(rows.slice(0, MAX_LISTED).map(({ backend = '', cost_nano, calls }) => [backend, { cost_nano, calls: callsOf(calls) }]))
}

/** Corrections may take back more calls than a day had. */
function callsOf(count: number): number {
  return Math.max(0, count)
}
