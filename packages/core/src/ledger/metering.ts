import { covers, quantityOf, type CallScope, type Limit, type Quantities } from '../limit.ts'
import { Calendar, DAY_MS, QUARTER_MS, quarterOf, type Bounds, type CalendarWindow, type Window } from '../windows.ts'
import { CallMap } from './call-map.ts'
import type { Cells } from './cells.ts'
import type { LedgerPolicy } from './ledger.ts'
import { Meter, type Standing, type Use } from './meter.ts'
import type { HoldIndex } from './open-holds.ts'
import type { Observation, ReserveOrder } from './record.ts'

/** All that a meter can be folded from. The maps are the books' own and change with them. */
export interface Past {
  readonly cells: Cells
  readonly open: HoldIndex
  readonly presumed: HoldIndex
  /** For each `first-use` window, by {@link anchorKey}, a time at which none was running and before which nothing changes any more. Ms since the epoch. */
  readonly anchors: ReadonlyMap<string, number>
}

/** The limits of one policy, metered: one meter for each, folded from the past and then kept running. */
export class Metering {
  readonly meters: readonly Meter[]
  readonly #calendar: Calendar
  readonly #past: Past
  #nowMs: number
  #covering = new CallMap<readonly Meter[]>()

  constructor(policy: LedgerPolicy, nowMs: number, past: Past) {
    this.#calendar = new Calendar(policy.timezone)
    this.#past = past
    this.#nowMs = nowMs
    this.meters = policy.limits.map((limit) => this.#folded(limit))
  }

  /** @param nowMs never less than before. */
  advance(nowMs: number): void {
    this.#nowMs = nowMs
    for (const meter of this.meters) meter.advance(nowMs)
  }

  /** The meters of the limits that cover a call. */
  of(call: CallScope): readonly Meter[] {
    const known = this.#covering.get(call)
    if (known !== undefined) return known
    const meters = this.meters.filter((meter) => covers(meter.limit.scope, call))
    this.#covering.set(call, meters)
    return meters
  }

  /** Task types are free text: what is remembered for each must not grow for ever. */
  forgetCalls(): void {
    this.#covering = new CallMap()
  }

  fold(meter: Meter): void {
    meter.fold(this.#uses(meter))
  }

  /** Counts a use of any time before now; a `first-use` window may begin with it. It is in the cells already. */
  bring(meter: Meter, atMs: number, quantity: number): void {
    if (meter.counts(atMs)) meter.add(atMs, 'settled', quantity)
    else if (!isCalendar(meter.limit.window)) this.fold(meter)
  }

  /** What a provider counts above what the ledger had settled then was used beside it. */
  observe({ limit: name, used, settled, until, at, source }: Observation): void {
    const meter = this.meters.find(({ limit }) => limit.name === name)
    if (meter === undefined || settled === undefined || until === undefined) return
    const beside = Math.max(0, Math.ceil(used * meter.limit.quantity) - settled)
    meter.read({ beside, used, at, source, untilMs: Date.parse(until) })
  }

  /** Names of the limits in whose window at `atMs` less than nothing would have been settled with these quantities as well. */
  below(call: CallScope, atMs: number, quantities: Quantities, sinceMs: number): readonly string[] {
    return this.of(call)
      .filter(({ limit: { scope, unit, window } }) => {
        const quantity = quantityOf(unit, quantities)
        const { startMs, endMs } = this.#boundsAt(window, atMs)
        return quantity < 0 && startMs >= sinceMs && this.#past.cells.sum(scope, unit, startMs, endMs) + quantity < 0
      })
      .map(({ limit }) => limit.name)
  }

  /** Whether a meter may count uses from before `sinceMs`. */
  reachesBefore({ limit: { window }, bounds }: Meter, sinceMs: number): boolean {
    if (isCalendar(window)) return bounds !== undefined && bounds.startMs < sinceMs
    return quarterOf(this.#nowMs - window.spanMs) - QUARTER_MS < sinceMs
  }

  /** How long the longest window lasts at most, ms. */
  get longestMs(): number {
    return Math.max(0, ...this.meters.map((meter) => spanOf(meter.limit.window)))
  }

  /** Where the folds of `first-use` windows begin at the earliest. */
  get oldestAnchorMs(): number {
    return Math.min(...this.meters.map((meter) => (meter.limit.window.kind === 'first-use' ? this.#anchorMs(meter.limit) : Number.POSITIVE_INFINITY)))
  }

  /** The anchors as they may be now: the start of the window under way, or now where there is none, unless a hold that is older may still be released. */
  anchors(): ReadonlyMap<string, number> {
    const anchors = new Map<string, number>()
    const anchored = this.meters.filter((meter) => meter.limit.window.kind === 'first-use')
    if (anchored.length === 0) return anchors
    let oldestMs = Number.POSITIVE_INFINITY
    for (const holds of [this.#past.open, this.#past.presumed]) for (const hold of holds.values()) oldestMs = Math.min(oldestMs, hold.atMs)
    for (const meter of anchored) {
      const anchorMs = meter.bounds?.startMs ?? quarterOf(this.#nowMs)
      if (anchorMs <= oldestMs) anchors.set(anchorKey(meter.limit), anchorMs)
    }
    return anchors
  }

  /** Folds everything anew and compares: one line for each number that differs. */
  audit(): readonly string[] {
    const found: string[] = []
    const compare = (what: string, running: unknown, folded: unknown): void => {
      if (running !== folded) found.push(`${what}: ${String(running)} in the running numbers, ${String(folded)} in the fold`)
    }
    for (const meter of this.meters) {
      const fresh = this.#folded(meter.limit)
      const { name, scope, unit, window } = meter.limit
      compare(`${name} settled`, meter.settled, fresh.settled)
      compare(`${name} held`, meter.held, fresh.held)
      compare(`${name} presumed`, meter.presumed, fresh.presumed)
      compare(`${name} start`, meter.bounds?.startMs, fresh.bounds?.startMs)
      compare(`${name} end`, meter.bounds?.endMs, fresh.bounds?.endMs)
      if (window.kind !== 'rolling' && meter.bounds !== undefined) {
        compare(`${name} cells`, meter.settled, this.#past.cells.sum(scope, unit, meter.bounds.startMs, meter.bounds.endMs))
      }
    }
    return found
  }

  /** Where in the cells a use counts. A bucket of a rolling window leaves alone, so each must stand by itself. */
  #boundsAt(window: Window, atMs: number): Bounds {
    if (isCalendar(window)) return this.#calendar.bounds(window, atMs)
    return { startMs: quarterOf(atMs), endMs: quarterOf(atMs) + QUARTER_MS }
  }

  #folded(limit: Limit): Meter {
    const meter = new Meter(limit, this.#calendar, this.#nowMs)
    this.fold(meter)
    return meter
  }

  /** All that a meter may count, in order of time. */
  #uses(meter: Meter): readonly Use[] {
    const { scope, unit, window } = meter.limit
    const { cells, open, presumed } = this.#past
    const startMs = this.#startMs(meter)
    const uses: Use[] =
      window.kind === 'rolling' || window.kind === 'first-use'
        ? [...cells.quarters(scope, unit, startMs)].map(([atMs, quantity]) => ({ atMs, standing: 'settled', quantity }))
        : [{ atMs: startMs, standing: 'settled', quantity: cells.sum(scope, unit, startMs, Number.POSITIVE_INFINITY) }]
    const addHolds = (holds: HoldIndex, standing: Standing): void => {
      for (const hold of holds.values()) {
        if (hold.atMs >= startMs && covers(scope, callOf(hold))) uses.push({ atMs: hold.atMs, standing, quantity: quantityOf(unit, hold.estimate) })
      }
    }
    addHolds(open, 'held')
    addHolds(presumed, 'presumed')
    return uses.sort((left, right) => left.atMs - right.atMs)
  }

  /** No use before it can count. */
  #startMs(meter: Meter): number {
    const { window } = meter.limit
    if (window.kind === 'first-use') return this.#anchorMs(meter.limit)
    if (window.kind === 'rolling') return quarterOf(this.#nowMs - window.spanMs)
    return meter.bounds?.startMs ?? this.#nowMs
  }

  /** From the first cell on, unless known better. */
  #anchorMs(limit: Limit): number {
    return this.#past.anchors.get(anchorKey(limit)) ?? 0
  }
}

export function callOf({ backend, kind, model, taskType }: ReserveOrder): CallScope {
  return { backend, kind, model, taskType: taskType ?? '' }
}

function isCalendar(window: Window): window is CalendarWindow {
  return window.kind !== 'rolling' && window.kind !== 'first-use'
}

function anchorKey({ scope, window }: Limit): string {
  return JSON.stringify([scope.backend, scope.model, scope.taskType, window])
}

function spanOf(window: Window): number {
  switch (window.kind) {
    case 'day':
      return DAY_MS
    case 'week':
      return 7 * DAY_MS
    case 'month':
      return 31 * DAY_MS
    case 'quarter':
      return 92 * DAY_MS
    case 'year':
      return 366 * DAY_MS
    case 'first-use':
    case 'rolling':
      return window.spanMs
  }
}
