import { MancipleError } from './errors.ts'
import { isoInstant } from './instant.ts'
import { checkHistoryQuery, Tally, Timeline, type HistoryQuery, type HistoryRow } from './ledger/history.ts'
import type { SpendRow } from './ledger/ledger.ts'
import { freeOf, quantityOf, type BackendKind, type MeterState, type Unit } from './limit.ts'
import { lastCloudState, type Notice } from './notices/notice.ts'
import { accountOf, elapsedOf, overQuotas, spentOf, utilizationOf, type Account } from './policy/measures.ts'
import type { Outlook } from './policy/outlook.ts'
import type { Policy } from './policy/policy.ts'
import { formatWindow } from './window-text.ts'
import { QUARTER_MS, type Bounds, type Calendar } from './windows.ts'

/** What reports look at: the policy, the totals, and the time. */
export interface ReportView {
  readonly policy: Policy
  readonly calendar: Calendar
  /** One per limit of the policy, in its order, moved on to `nowMs`. */
  readonly meters: readonly MeterState[]
  readonly spend: (startMs: number, endMs: number) => readonly SpendRow[]
  readonly notices: readonly Notice[]
  /** What the quotas are heading for, by the name of the limit. */
  readonly outlooks: () => ReadonlyMap<string, Outlook>
  readonly nowMs: number
}

export interface Spend {
  readonly costNano: number
  readonly tokens: number
  readonly requests: number
}

/** What has been spent, by local day and calendar month. Money in nano-USD. */
export interface CostsReport {
  readonly at: string
  readonly timezone: string
  readonly policy: string
  readonly today: Spend
  readonly month: Spend
  readonly backends: readonly { readonly backend: string; readonly today: Spend; readonly month: Spend }[]
}

export type Standing = 'within' | 'near' | 'over'

export interface LimitReport {
  readonly limit: string
  readonly unit: Unit
  readonly window: string
  readonly hard: boolean
  /** All in the limit's unit: `settled + held + presumed + beside + free = quantity`. */
  readonly quantity: number
  readonly settled: number
  readonly held: number
  readonly presumed: number
  /** Used beside the router, as the provider's last reading in this window has it. */
  readonly beside: number
  readonly reading: { readonly used: number; readonly at: string; readonly source: string } | null
  readonly free: number
  /** (settled + beside) ÷ quantity. */
  readonly spent: number
  readonly standing: Standing
  /** When the window ends; null for a rolling one, and for one that begins at first use and has not begun. */
  readonly resets: string | null
}

/** How much of what is paid for has been used, against how much of the time has passed. */
export interface Progress {
  /** (settled + used beside the router) ÷ quota. */
  readonly utilization: number
  /** Share of the window that has passed. */
  readonly elapsed: number
  /** utilization ÷ elapsed: 1 is on plan. Null while nothing has passed. */
  readonly pace: number | null
  /** The least pace that the policy wants. */
  readonly floor: number
}

export interface QuotaReport extends Progress {
  readonly backend: string
  readonly kind: BackendKind
  readonly limit: string
  readonly unit: Unit
  readonly quantity: number
  readonly settled: number
  readonly resets: string | null
  /** Share of the quota that will have been used when the window ends, as work is routed now: a tenth, half and nine tenths of outcomes are below. Null where nothing is foreseen: before the first request; for an outside view before the router's first checkpoint, within a minute of it. */
  readonly forecast: Forecast | null
  /** What is paid for and, by the middle of the forecast, will lapse: nano-USD. Null where nothing is foreseen, or the quota has no worth in money. */
  readonly lapseNano: number | null
  /** When the window began; null before it has. */
  readonly began: string | null
  /** Share of the quota that had been settled by the end of each thirtieth of the window that has begun, the last one up to now. Without what was used beside the router. */
  readonly course: readonly number[]
}

/** Shares of a quota. */
export interface Forecast {
  readonly low: number
  readonly mid: number
  readonly high: number
}

/** Limits, quotas and whether cloud calls go through. */
export interface BudgetReport {
  readonly at: string
  readonly timezone: string
  readonly policy: string
  readonly limits: readonly LimitReport[]
  readonly quotas: readonly QuotaReport[]
  /** All quotas together, weighted by what is paid for them. */
  readonly total: Progress
  /** The `local-only` notice in force. */
  readonly localOnly: Notice | null
}

const COURSE_PARTS = 30
const NOTHING: Spend = { costNano: 0, tokens: 0, requests: 0 }

export function costsReport(view: ReportView): CostsReport {
  const { policy, calendar, nowMs } = view
  const end = nowMs + QUARTER_MS
  const today = view.spend(calendar.bounds({ kind: 'day' }, nowMs).startMs, end)
  const month = view.spend(calendar.bounds({ kind: 'month', day: 1 }, nowMs).startMs, end)
  const names = new Set([...policy.backends.map((backend) => backend.name), ...month.map((row) => row.backend)])
  return {
    at: isoInstant(nowMs),
    timezone: policy.timezone,
    policy: policy.version,
    today: total(today),
    month: total(month),
    backends: [...names].map((backend) => ({ backend, today: total(of(backend, today)), month: total(of(backend, month)) })),
  }
}

export function budgetReport(view: ReportView): BudgetReport {
  const { policy, meters, nowMs } = view
  const accounts = policy.backends.map((backend) => accountOf(backend, policy))
  return {
    at: isoInstant(nowMs),
    timezone: policy.timezone,
    policy: policy.version,
    limits: meters.map((meter) => limitReport(meter, policy)),
    quotas: quotaReports(accounts, view),
    total: progress(overQuotas(accounts, utilizationOf, meters, nowMs), overQuotas(accounts, elapsedOf, meters, nowMs), policy.floors.total),
    localOnly: localOnlyNow(view.notices, nowMs),
  }
}

function limitReport(meter: MeterState, policy: Policy): LimitReport {
  const { limit, settled, held, presumed, beside, reading, bounds } = meter
  const spent = spentOf(meter)
  return {
    limit: limit.name,
    unit: limit.unit,
    window: formatWindow(limit.window),
    hard: limit.hard,
    quantity: limit.quantity,
    settled,
    held,
    presumed,
    beside,
    reading: reading === undefined ? null : { used: reading.used, at: reading.at, source: reading.source },
    free: freeOf(meter),
    spent,
    standing: settled + beside > limit.quantity ? 'over' : spent >= policy.warningThreshold ? 'near' : 'within',
    resets: bounds === undefined || limit.window.kind === 'rolling' ? null : isoInstant(bounds.endMs),
  }
}

function quotaReports(accounts: readonly Account[], view: ReportView): readonly QuotaReport[] {
  if (!accounts.some(({ quota }) => quota !== undefined)) return []
  const outlooks = view.outlooks()
  return accounts.flatMap((account) => quotaReport(account, view, outlooks))
}

function quotaReport(account: Account, view: ReportView, outlooks: ReadonlyMap<string, Outlook>): QuotaReport[] {
  const { policy, meters, nowMs } = view
  const { backend, quota } = account
  const meter = quota === undefined ? undefined : meters[quota]
  if (meter === undefined) return []
  const { limit, settled, bounds } = meter
  const { name, kind } = backend
  const outlook = outlooks.get(limit.name)
  return [
    {
      backend: name,
      kind,
      limit: limit.name,
      unit: limit.unit,
      quantity: limit.quantity,
      settled,
      resets: bounds === undefined ? null : isoInstant(bounds.endMs),
      forecast: forecastOf(outlook),
      lapseNano: lapseOf(outlook, backend.paidNano ?? (limit.unit === 'usd' ? limit.quantity : undefined)),
      began: bounds === undefined ? null : isoInstant(bounds.startMs),
      course: bounds === undefined ? [] : courseOf(meter, bounds, view),
      ...progress(utilizationOf(account, meters), elapsedOf(account, meters, nowMs), policy.floors.backend),
    },
  ]
}

/** Backwards from what is settled, so that it ends there: quarter-hours do not always fall together with the ends of the parts. */
function courseOf({ limit, settled }: MeterState, { startMs, endMs }: Bounds, { spend, nowMs }: ReportView): readonly number[] {
  const { scope, unit, quantity } = limit
  const partMs = (endMs - startMs) / COURSE_PARTS
  const course: number[] = []
  let later = 0
  for (let part = Math.min(COURSE_PARTS, Math.ceil((nowMs - startMs) / partMs)); part > 0; part -= 1) {
    course.unshift(quantity > 0 ? Math.max(0, settled - later) / quantity : 0)
    for (const row of spend(startMs + (part - 1) * partMs, Math.min(nowMs + 1, startMs + part * partMs))) {
      if (row.backend === scope.backend) later += quantityOf(unit, row)
    }
  }
  return course
}

function forecastOf(outlook: Outlook | undefined): Forecast | null {
  if (outlook === undefined || outlook.quantity === 0) return null
  const { quantity, low, expected, high } = outlook
  return { low: low / quantity, mid: expected / quantity, high: high / quantity }
}

/** Whole nano-USD. */
function lapseOf(outlook: Outlook | undefined, paidNano: number | undefined): number | null {
  if (outlook === undefined || outlook.quantity === 0 || paidNano === undefined) return null
  return Math.round(Math.max(0, 1 - outlook.expected / outlook.quantity) * paidNano)
}

function progress(utilization: number, elapsed: number, floor: number): Progress {
  return { utilization, elapsed, pace: elapsed === 0 ? null : utilization / elapsed, floor }
}

/** The `local-only` notice that no `restored` has ended and whose reset lies ahead. */
function localOnlyNow(notices: readonly Notice[], nowMs: number): Notice | null {
  const last = lastCloudState(notices)
  if (last?.kind !== 'local-only') return null
  const { reset } = last.data
  return typeof reset === 'string' && Date.parse(reset) <= nowMs ? null : last
}

/**
 * Spend between two times out of the totals alone, for a ledger that keeps nothing finer: in whole quarter-hours, those that begin within the time asked for.
 * @throws MancipleError `QUERY_INVALID`, also for `task_id` and `status`, which totals do not know.
 */
export function historyOfTotals({ policy, spend }: ReportView, query: HistoryQuery): readonly HistoryRow[] {
  checkHistoryQuery(query)
  const { from, to, by, where = {} } = query
  for (const field of ['task_id', 'status'] as const) {
    if (by.includes(field) || where[field] !== undefined) throw new MancipleError('QUERY_INVALID', `A ledger in memory keeps no ${field}.`)
  }
  const tally = new Tally(query)
  for (const span of new Timeline(by, policy.timezone).within(from.getTime(), to.getTime())) {
    for (const { backend, model, taskType, costNano, tokens, requests } of spend(span.startMs, span.endMs)) {
      const fields = { backend, model, task_type: taskType }
      const asked = (['backend', 'model', 'task_type'] as const).every((field) => where[field] === undefined || where[field] === fields[field])
      if (asked) tally.add(span, fields, { cost_nano: costNano, calls: requests, tokens })
    }
  }
  return tally.rows()
}

function of(backend: string, rows: readonly SpendRow[]): readonly SpendRow[] {
  return rows.filter((row) => row.backend === backend)
}

function total(rows: readonly Spend[]): Spend {
  return rows.reduce(plus, NOTHING)
}

function plus(a: Spend, b: Spend): Spend {
  return { costNano: a.costNano + b.costNano, tokens: a.tokens + b.tokens, requests: a.requests + b.requests }
}
