import { MancipleError } from '../errors.ts'
import { covers, type CallScope, type Quantities, type Scope, type Unit } from '../limit.ts'
import { QUARTER_MS } from '../windows.ts'
import { CallMap } from './call-map.ts'
import type { SpendRow } from './ledger.ts'

/** The cells of one backend, model and task type as columns: plain JSON. */
export interface SeriesSnapshot extends CallScope {
  /** Quarter-hours since the epoch: the first, then the steps to the next. */
  readonly quarters: readonly number[]
  readonly costNano: readonly number[]
  readonly tokens: readonly number[]
  readonly requests: readonly number[]
}

interface Series {
  readonly call: CallScope
  /** Quarter-hours since the epoch, ascending, each once. */
  readonly quarters: number[]
  readonly costNano: number[]
  readonly tokens: number[]
  readonly requests: number[]
}

/**
 * The totals: what was settled in each quarter-hour of reserve time, by backend, model and task type.
 * Every window of every limit is a sum of cells.
 */
export class Cells {
  #series: Series[] = []
  #index = new CallMap<Series>()

  static restore(snapshot: readonly SeriesSnapshot[]): Cells {
    const cells = new Cells()
    for (const { backend, kind, model, taskType, quarters, costNano, tokens, requests } of snapshot) {
      let quarter = 0
      const absolute = quarters.map((step) => (quarter += step))
      cells.#keep({ call: { backend, kind, model, taskType }, quarters: absolute, costNano: [...costNano], tokens: [...tokens], requests: [...requests] })
    }
    return cells
  }

  /**
   * Adds to the cell of `atMs`. A call that adds nothing still leaves its cell: it marks a use, with which a `first-use` window may begin.
   * @throws MancipleError `USAGE_INVALID` where a sum would no longer be exact; nothing changes.
   */
  add(call: CallScope, atMs: number, quantities: Quantities): void {
    const series = this.#index.get(call) ?? this.#keep({ call, quarters: [], costNano: [], tokens: [], requests: [] })
    const index = cellOf(series, Math.floor(atMs / QUARTER_MS))
    const costNano = exact((series.costNano[index] ?? 0) + quantities.costNano)
    const tokens = exact((series.tokens[index] ?? 0) + quantities.tokens)
    const requests = exact((series.requests[index] ?? 0) + quantities.requests)
    series.costNano[index] = costNano
    series.tokens[index] = tokens
    series.requests[index] = requests
  }

  /** What a scope used in the quarter-hours that begin from `startMs` up to, not including, `endMs`. */
  sum(scope: Scope, unit: Unit, startMs: number, endMs: number): number {
    let total = 0
    for (const series of this.#covered(scope)) {
      const column = columnOf(series, unit)
      const end = firstFrom(series, endMs)
      for (let index = firstFrom(series, startMs); index < end; index += 1) total += column[index] ?? 0
    }
    return exact(total)
  }

  /** What a scope used in each quarter-hour from `startMs` on, by its start in ms, in no order. */
  quarters(scope: Scope, unit: Unit, startMs: number): ReadonlyMap<number, number> {
    const totals = new Map<number, number>()
    for (const series of this.#covered(scope)) {
      const column = columnOf(series, unit)
      for (let index = firstFrom(series, startMs); index < column.length; index += 1) {
        const quarterMs = (series.quarters[index] ?? 0) * QUARTER_MS
        totals.set(quarterMs, (totals.get(quarterMs) ?? 0) + (column[index] ?? 0))
      }
    }
    return totals
  }

  /** All calls, local ones as well, of each quarter-hour, by its start in ms, in no order. */
  calls(): ReadonlyMap<number, number> {
    const totals = new Map<number, number>()
    for (const { quarters, requests } of this.#series) {
      quarters.forEach((quarter, index) => totals.set(quarter * QUARTER_MS, (totals.get(quarter * QUARTER_MS) ?? 0) + (requests[index] ?? 0)))
    }
    return totals
  }

  /** Spend in the quarter-hours that begin in the span, by backend, model and task type. */
  rows(startMs: number, endMs: number): readonly SpendRow[] {
    const rows = new Map<string, SpendRow>()
    for (const series of this.#series) {
      const end = firstFrom(series, endMs)
      let [costNano, tokens, requests] = [0, 0, 0]
      for (let index = firstFrom(series, startMs); index < end; index += 1) {
        costNano += series.costNano[index] ?? 0
        tokens += series.tokens[index] ?? 0
        requests += series.requests[index] ?? 0
      }
      if (requests === 0 && tokens === 0 && costNano === 0) continue
      const { backend, model, taskType } = series.call
      const key = keyOf(series.call)
      // A backend that was local once and is not any more has two series.
      const known = rows.get(key) ?? { costNano: 0, tokens: 0, requests: 0 }
      rows.set(key, { backend, model, taskType, costNano: known.costNano + costNano, tokens: known.tokens + tokens, requests: known.requests + requests })
    }
    return [...rows].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, row]) => row)
  }

  /** Adds the quarter-hours of `other` that begin before `beforeMs`. */
  merge(other: Cells, beforeMs: number): void {
    for (const series of other.#series) {
      const end = firstFrom(series, beforeMs)
      for (let index = 0; index < end; index += 1) {
        const [costNano = 0, tokens = 0, requests = 0] = [series.costNano[index], series.tokens[index], series.requests[index]]
        this.add(series.call, (series.quarters[index] ?? 0) * QUARTER_MS, { costNano, tokens, requests })
      }
    }
  }

  /** Forgets the quarter-hours that begin before `beforeMs`. @returns whether there were any. */
  prune(beforeMs: number): boolean {
    if (!this.#series.some((series) => firstFrom(series, beforeMs) > 0)) return false
    const kept = this.#series
    this.#series = []
    this.#index = new CallMap()
    for (const series of kept) {
      const count = firstFrom(series, beforeMs)
      if (count === series.quarters.length) continue
      if (count > 0) for (const column of [series.quarters, series.costNano, series.tokens, series.requests]) column.splice(0, count)
      this.#keep(series)
    }
    return true
  }

  /** Equal for equal totals, in whatever order they came. */
  snapshot(): readonly SeriesSnapshot[] {
    return this.#series
      .map((series) => ({
        ...series.call,
        quarters: stepsOf(series.quarters),
        costNano: series.costNano.slice(),
        tokens: series.tokens.slice(),
        requests: series.requests.slice(),
      }))
      .sort((left, right) => (keyOf(left) + left.kind < keyOf(right) + right.kind ? -1 : 1))
  }

  #covered(scope: Scope): readonly Series[] {
    return this.#series.filter((series) => covers(scope, series.call))
  }

  #keep(series: Series): Series {
    this.#series.push(series)
    this.#index.set(series.call, series)
    return series
  }
}

/** A plain loop: a year has 35,000 quarter-hours, and a router waits while its ledger takes a snapshot. */
function stepsOf(quarters: readonly number[]): readonly number[] {
  const steps = quarters.slice()
  for (let index = steps.length - 1; index > 0; index -= 1) steps[index] = (quarters[index] ?? 0) - (quarters[index - 1] ?? 0)
  return steps
}

/** The index of the quarter-hour's cell, made where it is missing. Nearly always the last. */
function cellOf(series: Series, quarter: number): number {
  const { quarters } = series
  const last = quarters.length - 1
  if (quarters[last] === quarter) return last
  const index = (quarters[last] ?? -1) < quarter ? last + 1 : firstFrom(series, quarter * QUARTER_MS)
  if (quarters[index] !== quarter) {
    quarters.splice(index, 0, quarter)
    for (const column of [series.costNano, series.tokens, series.requests]) column.splice(index, 0, 0)
  }
  return index
}

/** Index of the first cell that begins at or after `ms`. */
function firstFrom(series: Series, ms: number): number {
  const { quarters } = series
  let low = 0
  let high = quarters.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((quarters[middle] ?? 0) * QUARTER_MS < ms) low = middle + 1
    else high = middle
  }
  return low
}

function columnOf(series: Series, unit: Unit): readonly number[] {
  if (unit === 'usd') return series.costNano
  return unit === 'tokens' ? series.tokens : series.requests
}

function keyOf({ backend, model, taskType }: CallScope): string {
  return [backend, model, taskType].join('\u0000')
}

function exact(sum: number): number {
  if (!Number.isSafeInteger(sum)) throw new MancipleError('USAGE_INVALID', `A total of ${sum} is beyond what can be counted exactly.`)
  return sum
}
