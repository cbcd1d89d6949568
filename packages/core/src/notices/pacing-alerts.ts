import { formatInstant, isoInstant } from '../instant.ts'
import { formatQuantity } from '../limit-text.ts'
import type { Unit } from '../limit.ts'
import { formatUsd } from '../money.ts'
import { SCENARIOS } from '../policy/forecast.ts'
import { chanceBelow } from '../policy/outlook.ts'
import type { Floors } from '../policy/policy.ts'
import { DAY_MS, elapsedShare, HOUR_MS, type Bounds } from '../windows.ts'
import type { NoticeBody, Severity } from './notice.ts'

export const ALERTS = {
  /** Shares of the window, of what the ledger knows of it: from here on advice, from there on an alert. */
  adviseFrom: 0.25,
  alertFrom: 0.5,
  /** What is to be told must show over both: a bad night is no trend, and what has mended is no news. */
  spansMs: [3 * DAY_MS, 6 * HOUR_MS],
  /**
   * Chance that a floor is missed although pacing works for it, from which it is told: no scenario of demand holds it. Measured by day 15 of 544 months: at .5 the total is told of in three of
   * four months with too little work and in 50 of 136 where there is just enough; at .8 in half and 15; at this in two of five and 1. More is told as it gets surer.
   */
  likely: 0.9,
  /** It is cleared when so much more than the floor is foreseen in the middle … */
  clearedBy: 0.1,
  /** … for so long. */
  clearedMs: DAY_MS,
  /** Times the rate that would use the rest up exactly, and from where on it has slowed down. */
  fast: 2,
  fastCleared: 1.9,
  /** With less than this of the window left, a high rate is a good end. */
  fastUntil: 0.9,
  /** Of shorter windows nobody could act in time. */
  leastWindowMs: DAY_MS,
} as const

/** A quota at one moment. Quantities in its unit. */
export interface QuotaNow {
  readonly backend: string
  readonly limit: string
  readonly unit: Unit
  readonly quantity: number
  /** Settled, presumed and used beside the ledger. */
  readonly used: number
  readonly bounds: Bounds
  /** What was settled in each of {@link ALERTS.spansMs} up to now. */
  readonly recent: readonly number[]
  /** Use at the window's end with pacing at work: by scenario of demand, and the tenth, half and nine tenths of outcomes. */
  readonly ends: readonly number[]
  readonly low: number
  readonly expected: number
  readonly high: number
  /** Requests that are expected until the window ends, and what one takes of this quota on average. */
  readonly ahead: number
  readonly meanDraw: number
  /** What is paid for a window of it, nano-USD: weighs it in the total. */
  readonly paid: number
}

export interface AlertView {
  readonly quotas: readonly QuotaNow[]
  readonly floors: Floors
  readonly timezone: string
  readonly nowMs: number
  /** From when on the ledger knows what was used: a window that began earlier is judged by the part since. */
  readonly sinceMs: number
}

/** An alert that is open, or was, in its window. Plain JSON. */
export interface AlertState {
  level: 'none' | 'advice' | 'alert'
  /** When it was first clear, ms since the epoch; 0 where it is not. */
  clearMs: number
  /** How often it has been opened in this window. */
  opened: number
  readonly untilMs: number
}

/** By kind, limit and window. */
export type AlertMemory = Record<string, AlertState>

/** What there is to say of one kind about one quota, or about all. */
interface Signal {
  readonly kind: string
  /** A backend, or `total`. */
  readonly scope: string
  /** Names its episodes: a limit, or `total`. */
  readonly subject: string
  readonly bounds: Bounds
  /** Share of the window that was watched. */
  readonly passed: number
  readonly low: boolean
  readonly clear: boolean
  body(): Pick<NoticeBody, 'text' | 'data'>
}

/** What is to be told now. One alert is open for each backend, kind and window; it is told when it opens, and once more when advice becomes an alert. @param memory changed in place. */
export function pacingAlerts(view: AlertView, memory: AlertMemory): readonly NoticeBody[] {
  const quotas = view.quotas.filter(({ quantity, bounds }) => quantity > 0 && bounds.endMs - bounds.startMs >= ALERTS.leastWindowMs)
  for (const [key, { untilMs }] of Object.entries(memory)) if (untilMs <= view.nowMs) delete memory[key]
  const told: NoticeBody[] = []
  for (const signal of [...quotas.flatMap((quota) => [underUsed(quota, view), burningFast(quota, view)]), ...totals(quotas, view)]) {
    const body = step(signal, memory, view.nowMs)
    if (body !== undefined) told.push(body)
  }
  for (const quota of quotas) {
    const open = memory[keyOf('under-used', quota.limit, quota.bounds)]
    if (open === undefined || open.level === 'none') told.push(...checkpoint(quota, view))
  }
  return told
}

/** Opens, raises or clears. */
function step(signal: Signal, memory: AlertMemory, nowMs: number): NoticeBody | undefined {
  const { kind, scope, subject, bounds, passed, low, clear } = signal
  const key = keyOf(kind, subject, bounds)
  const state = memory[key]
  if (state !== undefined && !low) {
    state.clearMs = clear ? state.clearMs || nowMs : 0
    if (state.clearMs > 0 && nowMs - state.clearMs >= ALERTS.clearedMs) state.level = 'none'
    return undefined
  }
  if (!low || passed < ALERTS.adviseFrom) return undefined
  const level = passed < ALERTS.alertFrom ? 'advice' : 'alert'
  const opens = state === undefined || state.level === 'none'
  const opened = (state?.opened ?? 0) + (opens ? 1 : 0)
  const raises = opens || (state.level === 'advice' && level === 'alert')
  memory[key] = { level: raises ? level : state.level, clearMs: 0, opened, untilMs: bounds.endMs }
  if (!raises) return undefined
  const episode = `${subject}@${isoInstant(bounds.startMs)} ${level}${opened === 1 ? '' : ` ${opened}`}`
  return { severity: level satisfies Severity, kind, scope, episode, ...signal.body() }
}

function keyOf(kind: string, subject: string, { startMs }: Bounds): string {
  return `${kind} ${subject} ${startMs}`
}

/** The part of a window that the ledger knows, 0 to 1. */
function knownOf({ startMs, endMs }: Bounds, { sinceMs }: AlertView): number {
  return 1 - elapsedShare({ startMs, endMs }, sinceMs)
}

/** How much of what is known has passed. */
function watched({ startMs, endMs }: Bounds, { sinceMs, nowMs }: AlertView): number {
  return elapsedShare({ startMs: Math.min(Math.max(startMs, sinceMs), endMs - 1), endMs }, nowMs)
}

/** Utilization ÷ even use over the last days, and over the last hours: the higher of the two. */
function recentPace({ recent, quantity, bounds }: QuotaNow, { sinceMs, nowMs }: AlertView): number {
  const windowMs = bounds.endMs - bounds.startMs
  const paces = ALERTS.spansMs.map((spanMs, index) => {
    const watchedMs = Math.min(spanMs, nowMs - Math.max(bounds.startMs, sinceMs))
    return watchedMs <= 0 ? 0 : (recent[index] ?? 0) / quantity / (watchedMs / windowMs)
  })
  return Math.max(...paces)
}

function underUsed(quota: QuotaNow, view: AlertView): Signal {
  const { backend, limit, bounds, quantity, used, ends, expected, ahead, meanDraw } = quota
  const { floors } = view
  const known = knownOf(bounds, view)
  const chance = chanceBelow(floors.backend * known * quantity, ends)
  const corrective = ahead * meanDraw > 0 ? (floors.backend * known * quantity - used) / (ahead * meanDraw) : Number.POSITIVE_INFINITY
  const remedy =
    corrective > 1
      ? 'not even all calls to come would bring it to its floor'
      : `${percent(Math.max(0, corrective))} of all calls to come would bring it to its floor of ${percent(floors.backend)}`
  return {
    kind: 'under-used',
    scope: backend,
    subject: limit,
    bounds,
    passed: watched(bounds, view),
    low: chance >= ALERTS.likely && recentPace(quota, view) < floors.backend,
    clear: expected >= (floors.backend + ALERTS.clearedBy) * known * quantity,
    body: () => ({
      text: `${backend} is under-used: ${percent(used / quantity)} of its quota is used, ${foreseen(quota, view)}, ${lapse(quota)} would lapse; ${remedy}`,
      data: { ...figures(quota), correctiveShare: Number.isFinite(corrective) ? Math.max(0, corrective) : null },
    }),
  }
}

function burningFast(quota: QuotaNow, view: AlertView): Signal {
  const { backend, limit, bounds, quantity, used, recent } = quota
  const { nowMs, sinceMs, timezone } = view
  const rates = ALERTS.spansMs.map((spanMs, index) => (recent[index] ?? 0) / Math.max(1, Math.min(spanMs, nowMs - Math.max(bounds.startMs, sinceMs))))
  const rate = Math.min(...rates)
  const left = Math.max(0, quantity - used)
  const burn = left > 0 ? rate / (left / Math.max(1, bounds.endMs - nowMs)) : 0
  const emptyMs = rate > 0 ? nowMs + left / rate : bounds.endMs
  return {
    kind: 'burning-fast',
    scope: backend,
    subject: limit,
    bounds,
    passed: watched(bounds, view),
    low: burn >= ALERTS.fast && elapsedShare(bounds, nowMs) < ALERTS.fastUntil,
    clear: burn < ALERTS.fastCleared,
    body: () => ({
      text: `${backend} burns fast: at the rate of the last days and hours its quota is used up by ${formatInstant(emptyMs, timezone)}, its window ends ${formatInstant(bounds.endMs, timezone)}`,
      data: { ...figures(quota), burn, empty: isoInstant(Math.round(emptyMs)) },
    }),
  }
}

/** All quotas together, weighed by what is paid for them. Too little use is the demand's doing, or that of rules and pins that keep work from where it is paid for. */
function totals(quotas: readonly QuotaNow[], view: AlertView): readonly Signal[] {
  if (quotas.length === 0) return []
  const { floors } = view
  const sum = (of: (quota: QuotaNow) => number): number => quotas.reduce((total, quota) => total + quota.paid * of(quota), 0)
  const known = sum(({ bounds }) => knownOf(bounds, view))
  const mean = (of: (quota: QuotaNow) => number): number => (known > 0 ? sum(of) / known : 0)
  const ends = SCENARIOS.map((_, scenario) => mean(({ ends, used, quantity }) => (ends[scenario] ?? used) / quantity)).sort((a, b) => a - b)
  const end = ends[ends.length >> 1] ?? 0
  const chance = chanceBelow(floors.total, ends)
  // In requests: what there is room for, and how much of it the work to come could fill.
  const room = quotas.reduce((total, { quantity, used, meanDraw }) => total + (meanDraw > 0 ? Math.max(0, quantity - used) / meanDraw : 0), 0)
  const reach = mean(({ quantity, used, ahead }) => Math.min(1, (used + Math.max(0, quantity - used) * Math.min(1, room > 0 ? ahead / room : 0)) / quantity))
  const lapseNano = sum(({ expected, quantity }) => Math.max(0, 1 - expected / quantity))
  const slack = mean((quota) => knownOf(quota.bounds, view) * recentPace(quota, view)) < floors.total
  const bounds = { startMs: Math.min(...quotas.map((quota) => quota.bounds.startMs)), endMs: Math.max(...quotas.map((quota) => quota.bounds.endMs)) }
  const passed =
    sum((quota) => watched(quota.bounds, view)) /
    Math.max(
      1,
      sum(() => 1),
    )
  const used = percent(mean((quota) => quota.used / quota.quantity))
  const data = { utilization: mean((quota) => quota.used / quota.quantity), forecast: Math.min(1, end), reachable: reach, lapseNano: Math.round(lapseNano) }
  const common = { scope: 'total', subject: 'total', bounds, passed, clear: end >= floors.total + ALERTS.clearedBy }
  const dollars = formatUsd(Math.round(lapseNano))
  const low = chance >= ALERTS.likely && slack
  const ahead = Math.max(...quotas.map((quota) => quota.ahead))
  const needed = ahead > 0 ? `; to use them up would take ${percent(room / ahead)} of the calls to come` : ''
  return [
    {
      ...common,
      kind: 'too-conservative',
      low: low && reach >= floors.total,
      body: () => ({
        text: `Too conservative: ${used} of all quotas is used, ${percent(Math.min(1, end))} is foreseen by their end, ${dollars} would lapse; there is work for ${percent(reach)}: ${behindOf(quotas)}`,
        data: { ...data, correctiveShare: correctiveOf(quotas) },
      }),
    },
    {
      ...common,
      kind: 'demand-shortfall',
      low: low && reach < floors.total,
      body: () => ({
        text: `Not enough work for what is paid for: ${used} of all quotas is used, and with every call to come ${percent(reach)} would be; ${dollars} would lapse as things go${needed}`,
        data: { ...data, correctiveShare: ahead > 0 ? room / ahead : null },
      }),
    },
  ]
}

/** The backends that the work should go to, with the share of all calls that each would need. */
function behindOf(quotas: readonly QuotaNow[]): string {
  const behind = quotas.filter(({ expected, quantity, ahead, meanDraw }) => expected < quantity && ahead * meanDraw > 0)
  const worst = behind.toSorted((a, b) => a.expected / a.quantity - b.expected / b.quantity).slice(0, 3)
  return worst.map((quota) => `${percent(Math.min(1, wantOf(quota)))} of calls to ${quota.backend}`).join(', ') || 'send more to the paid backends'
}

function correctiveOf(quotas: readonly QuotaNow[]): number {
  return Math.min(
    1,
    quotas.reduce((sum, quota) => sum + wantOf(quota), 0),
  )
}

/** The share of all calls that would use the rest of a quota. */
function wantOf({ quantity, used, ahead, meanDraw }: QuotaNow): number {
  return ahead * meanDraw > 0 ? Math.max(0, quantity - used) / (ahead * meanDraw) : 0
}

/** "Below its floor in mid-cycle", taken literally: once a window, as information. Under even pace half is on target, so it foretells little. */
function checkpoint(quota: QuotaNow, view: AlertView): readonly NoticeBody[] {
  const { backend, limit, bounds, quantity, used } = quota
  const { nowMs, floors } = view
  if (bounds.startMs < view.sinceMs || elapsedShare(bounds, nowMs) < 0.5 || used / quantity >= floors.backend) return []
  return [
    {
      severity: 'info',
      kind: 'under-used',
      scope: backend,
      episode: `${limit}@${isoInstant(bounds.startMs)} mid-cycle`,
      text: `${backend} in mid-cycle: ${percent(used / quantity)} of its quota is used, less than ${percent(floors.backend)}; ${foreseen(quota, view)}`,
      data: figures(quota),
    },
  ]
}

function foreseen({ low, expected, high, quantity, bounds }: QuotaNow, { timezone }: AlertView): string {
  return `${percent(expected / quantity)} (${percent(low / quantity)} to ${percent(high / quantity)}) is foreseen by ${formatInstant(bounds.endMs, timezone)}`
}

function lapse({ quantity, expected, unit }: QuotaNow): string {
  return formatQuantity(Math.round(Math.max(0, quantity - expected)), unit)
}

function figures({ backend, limit, unit, quantity, used, low, expected, high, paid }: QuotaNow): NoticeBody['data'] {
  const lapseNano = Math.round(Math.max(0, 1 - expected / quantity) * paid)
  return { backend, limit, unit, quantity, used, low: Math.round(low), expected: Math.round(expected), high: Math.round(high), lapseNano }
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`
}
