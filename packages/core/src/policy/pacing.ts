import { quantityOf, type Quantities, type Unit } from '../limit.ts'
import { DAY_MS, type Bounds } from '../windows.ts'
import { demandByPeriod, forecastAll } from './demand.ts'
import { countDemand, emptyHistory, Forecaster, SCENARIOS, type DemandHistory } from './forecast.ts'
import { horizonOf, type Horizon, type LimitStanding } from './horizon.ts'
import { openShare, outlooksOf, type Outlook } from './outlook.ts'
import { learnOutputShare, outputShareOf, type OutputShares } from './output-shares.ts'
import type { PacedLimit, PacingPlan } from './pacing-plan.ts'
import { improvePrices, spread, weigh, type Allowance, type Sample } from './shadow-prices.ts'

export const PACING = {
  /** Requests that stand for all: their mean cost is right to some 6 %, and is scaled to the long-run mean. */
  sampleSize: 256,
  /** Once full, one request in so many replaces one of the sample: its memory is some 4,000 requests. */
  sampleEvery: 16,
  /** Requests over which mean costs are averaged. */
  meanMemory: 4096,
  /** Prices are worked out anew at most so often … */
  solveEveryMs: 3_600_000,
  /** … and only after so many decisions, so that a decision's part of the work stays small; at the latest after six hours. */
  solveAfterDecisions: 512,
  solveAtLatestMs: 6 * 3_600_000,
  /** Calls over which the truth ÷ the estimate of a backend is averaged. */
  learningMemory: 500,
  /** What a mean request's use of quotas of a month is worth where they would lapse down to the floor (in suitability): the subsidy for ordinary under-use. Where less would lapse it is less: `PRICES.growth`. */
  lapseWorth: 1.1,
  /** Of a shorter window it is worth more, by the square root of how much shorter, up to so many times: of a week far less can be foreseen than of a month, and it ends four times as often. */
  lapseWorthMost: 2,
  /** … and on top of that where a floor is in danger. */
  floorWorth: 6,
  /** What a floor aims at above itself: forecasts err. */
  floorMargin: 0.012,
}

interface MeanDraw {
  costNano: number
  tokens: number
}

/** All that pacing remembers: plain JSON of bounded size. */
export interface PacingState {
  readonly history: DemandHistory
  readonly sample: SampleState
  /** Requests seen, up to the memory of means. */
  seen: number
  random: number
  /** When the prices in force were worked out: a search that was cut short has not happened. */
  solvedMs: number
  /** Since then. */
  decisions: number
  /** Mean over requests: by backend, what it would take. */
  readonly means: Record<string, MeanDraw>
  readonly outputShares: OutputShares
  /** By backend: truth and estimates, fading. */
  readonly truth: Record<string, { actualNano: number; likelyNano: number }>
  /** By backend: truth ÷ estimates as of the last solve, which the prices in force go by. */
  readonly charged: Record<string, number>
  readonly prices: Record<string, PriceState>
  /** By quota: what the last solve foresaw; absent before the first. */
  outlooks?: Record<string, Outlook>
}

/** Of a limit. */
interface PriceState {
  /** In force, in suitability per unit. */
  perUnit: number
  /** Where the next search starts: the price of each scenario, per mean draw. */
  readonly scenarios: number[]
  /** By scenario: those of the windows after the current one, in turn. */
  later?: number[][]
}

interface SampleState {
  readonly fallback: number[]
  readonly columns: Record<string, { readonly values: (number | null)[]; readonly costNano: number[]; readonly tokens: number[] }>
}

export function emptyPacingState(): PacingState {
  return {
    history: emptyHistory(),
    sample: { fallback: [], columns: {} },
    seen: 0,
    random: 1,
    solvedMs: 0,
    decisions: 0,
    means: {},
    outputShares: {},
    truth: {},
    charged: {},
    prices: {},
  }
}

export class Pacing {
  readonly plan: PacingPlan
  readonly state: PacingState
  /** By backend: what a likely unit of each limit that it draws on is worth, in suitability. */
  readonly #tolls: readonly { readonly limit: number; readonly unit: Unit; perUnit: number }[][]

  /** Those of the state, by backend: looked up once. */
  readonly #means: MeanDraw[] = []

  constructor(plan: PacingPlan, state: PacingState = emptyPacingState()) {
    this.plan = plan
    this.state = state
    this.#tolls = plan.backends.map((_, backend) =>
      plan.limits.flatMap(({ backends, unit }, limit) => (backends.includes(backend) ? [{ limit, unit, perUnit: 0 }] : [])),
    )
    this.#charge()
  }

  /** Puts the prices of the state in force. */
  #charge(): void {
    this.#tolls.forEach((tolls, backend) => {
      for (const toll of tolls)
        toll.perUnit = this.#priceOf(toll.limit).perUnit * (toll.unit === 'requests' ? 1 : (own(this.state.charged, this.plan.backends[backend]!) ?? 1))
    })
  }

  /** Whether some quota is foreseen to run short: only then may work go to local while a paid backend has room. */
  get shortage(): boolean {
    return this.#tolls.some((tolls) => tolls.some(({ perUnit }) => perUnit > 0))
  }

  /** What a unit of a limit is worth, in suitability; negative where it is subsidised because it would lapse. @param limit as an index into the plan's. */
  price(limit: number): number {
    return this.#priceOf(limit).perUnit
  }

  /** Of each quota, as of the last solve. */
  get outlooks(): readonly Outlook[] {
    const { outlooks = {} } = this.state
    return this.plan.limits.flatMap(({ name }, limit) => {
      const outlook = own(outlooks, name)
      return outlook === undefined ? [] : [{ ...outlook, limit }]
    })
  }

  /** The part of the most asked for that a call of this task type and size is likely to use. */
  outputShare(taskType: string, inputTokens = 0): number {
    return outputShareOf(this.state.outputShares, taskType, inputTokens)
  }

  /** Learns from a settled call. */
  learn(backend: string, taskType: string, likelyNano: number, actualNano: number, outputShare: number, inputTokens = 0): void {
    learnOutputShare(this.state.outputShares, taskType, inputTokens, outputShare)
    const truth = ownOrNew(this.state.truth, backend, () => ({ actualNano: 0, likelyNano: 0 }))
    const fade = 1 - 1 / PACING.learningMemory
    truth.actualNano = truth.actualNano * fade + actualNano
    truth.likelyNano = truth.likelyNano * fade + likelyNano
  }

  /**
   * Counts a request, before it is decided.
   * @param values suitability by backend; NaN where the request may not go there.
   * @param likely what each backend would take on average.
   * @param fallback value of doing without any paid backend: the local one's suitability, else 0.
   */
  observe(atMs: number, values: ArrayLike<number>, likely: readonly Quantities[], fallback: number): void {
    const { state, plan } = this
    countDemand(state.history, atMs)
    state.decisions += 1
    state.seen = Math.min(state.seen + 1, PACING.meanMemory)
    for (let b = 0; b < plan.backends.length; b += 1) {
      if (Number.isNaN(values[b])) continue
      const mean = (this.#means[b] ??= ownOrNew(state.means, plan.backends[b]!, () => ({ costNano: likely[b]!.costNano, tokens: likely[b]!.tokens })))
      mean.costNano += (likely[b]!.costNano - mean.costNano) / state.seen
      mean.tokens += (likely[b]!.tokens - mean.tokens) / state.seen
    }
    const slot = this.#slot()
    if (slot === undefined) return
    state.sample.fallback[slot] = fallback
    plan.backends.forEach((name, b) => {
      const column = ownOrNew(state.sample.columns, name, () => ({
        values: state.sample.fallback.map(() => null),
        costNano: state.sample.fallback.map(() => 0),
        tokens: state.sample.fallback.map(() => 0),
      }))
      const takes = !Number.isNaN(values[b])
      column.values[slot] = takes ? values[b]! : null
      column.costNano[slot] = takes ? likely[b]!.costNano : 0
      column.tokens[slot] = takes ? likely[b]!.tokens : 0
    })
  }

  #slot(): number | undefined {
    const { fallback } = this.state.sample
    if (fallback.length < PACING.sampleSize) return fallback.length
    // A linear congruential generator (Numerical Recipes): chance must survive a restart.
    this.state.random = (Math.imul(this.state.random, 1_664_525) + 1_013_904_223) >>> 0
    const draw = this.state.random / 2 ** 32
    return draw * PACING.sampleEvery < 1 ? Math.floor(draw * PACING.sampleEvery * PACING.sampleSize) : undefined
  }

  /** Whether prices should be worked out anew. */
  due(nowMs: number): boolean {
    const sinceMs = nowMs - this.state.solvedMs
    return this.state.seen > 0 && sinceMs >= PACING.solveEveryMs && (this.state.decisions >= PACING.solveAfterDecisions || sinceMs >= PACING.solveAtLatestMs)
  }

  /** What a call's likely draws are worth: to be taken from its suitability. */
  toll(backend: number, likely: Quantities): number {
    let toll = 0
    for (const { unit, perUnit } of this.#tolls[backend]!) toll += perUnit * quantityOf(unit, likely)
    return toll
  }

  /**
   * Works prices out, a few milliseconds of work at most in a step: run it to its end at once, or a step at a time.
   * @param backMs by backend that is down: when it is expected back, ms since the epoch; 0 where it is up.
   */
  *solve(standings: readonly LimitStanding[], nowMs: number, backMs: readonly number[]): Generator<undefined, void> {
    const { state } = this
    const { decisions } = state
    try {
      if (state.sample.fallback.length > 0 && this.plan.limits.length > 0) yield* this.#search(standings, nowMs, backMs)
    } finally {
      // Also where it failed, so that it is not tried at each decision. Decisions made during it count for the next one.
      state.solvedMs = nowMs
      state.decisions -= decisions
    }
  }

  *#search(standings: readonly LimitStanding[], nowMs: number, backMs: readonly number[]): Generator<undefined, void> {
    const { plan, state } = this
    const means = plan.limits.map((limit) => this.#meanDraw(limit))
    const horizon = horizonOf(standings, nowMs, backMs)
    const forecaster = new Forecaster(state.history, nowMs, this.#capacityPerHour(standings, means))
    const forecasts = forecastAll(forecaster, standings)
    const worths = this.#worths(standings, means)
    const outlooks = outlooksOf(
      plan.limits.flatMap(({ quota, floor, backends, paid }, limit) => {
        if (!quota) return []
        const [standing, forecast, meanDraw] = [standings[limit]!, forecasts[limit]!, means[limit]!]
        const open = openShare(backends.map((backend) => own(state.sample.columns, plan.backends[backend]!)?.values ?? []))
        return [{ limit, standing, forecast, meanDraw, floor: Math.min(1, floor + PACING.floorMargin), open, paid }]
      }),
      nowMs,
      state.history.firstHour * 3_600_000,
    )
    state.outlooks = Object.fromEntries(outlooks.map((outlook) => [plan.limits[outlook.limit]!.name, outlook]))
    const demands = SCENARIOS.map((_, scenario) => demandByPeriod(horizon, standings, forecasts, forecaster, scenario))
    const sample = this.#sample(means, horizon, demands[SCENARIOS.length >> 1]!, nowMs, backMs)
    const sums = new Float64Array(plan.limits.length)
    yield
    for (let scenario = 0; scenario < SCENARIOS.length; scenario += 1) {
      const demand = demands[scenario]!
      const total = demand.reduce((sum, requests) => sum + requests, 0)
      weigh(sample, demand, total)
      const allowances = horizon.resources.map(({ limit, capacity, used }): Allowance => {
        const draws = Math.max(1e-9, total * means[limit]!)
        const { floor } = plan.limits[limit]!
        const target = floor > 0 ? Math.min(1, floor + PACING.floorMargin) : 0
        return {
          full: (capacity - used) / draws,
          floor: Math.max(0, target * capacity - used) / draws,
          worth: lapseWorth(standings[limit]!.bounds) * worths[limit]!,
          floorWorth: PACING.floorWorth,
        }
      })
      const prices = Float64Array.from(this.#startOf(horizon, scenario))
      yield* improvePrices(sample, allowances, prices)
      plan.limits.forEach((_, limit) => {
        const [price = 0, ...later] = prices.filter((_, resource) => horizon.resources[resource]!.limit === limit)
        const state = this.#priceOf(limit)
        state.scenarios[scenario] = price
        if (later.length > 0) (state.later ??= [])[scenario] = later
        sums[limit]! += price / SCENARIOS.length
      })
      yield
    }
    plan.limits.forEach((_, limit) => (this.#priceOf(limit).perUnit = means[limit]! > 0 ? sums[limit]! / means[limit]! : 0))
    for (const name of plan.backends) state.charged[name] = this.#truth(name)
    this.#charge()
  }

  /** Where the search for a scenario's prices starts, by resource: from what was found last; of a window that none was found for, from the current one's. */
  #startOf({ resources }: Horizon, scenario: number): readonly number[] {
    const windows = this.plan.limits.map(() => 0)
    return resources.map(({ limit }) => {
      const { scenarios, later } = this.#priceOf(limit)
      const window = windows[limit]!++
      return window === 0 ? scenarios[scenario]! : (later?.[scenario]?.[window - 1] ?? scenarios[scenario]!)
    })
  }

  #priceOf(limit: number): PriceState {
    return ownOrNew(this.state.prices, this.plan.limits[limit]!.name, () => ({ perUnit: 0, scenarios: SCENARIOS.map(() => 0) }))
  }

  /** By limit: what a mean draw of it is paid, relative to the mean over quotas; 0 where nothing lapses. */
  #worths(standings: readonly LimitStanding[], means: readonly number[]): readonly number[] {
    const paid = this.plan.limits.map(({ quota, paid }, index) =>
      quota && standings[index]!.quantity > 0 ? (paid / standings[index]!.quantity) * means[index]! : 0,
    )
    const quotas = paid.filter((one) => one > 0)
    const mean = quotas.reduce((sum, one) => sum + one, 0) / Math.max(1, quotas.length)
    return paid.map((one) => (mean > 0 ? one / mean : 0))
  }

  #capacityPerHour(standings: readonly LimitStanding[], means: readonly number[]): number {
    let capacity = 0
    this.plan.limits.forEach(({ quota }, index) => {
      const { quantity, bounds } = standings[index]!
      if (quota && means[index]! > 0) capacity += quantity / means[index]! / ((bounds.endMs - bounds.startMs) / 3_600_000)
    })
    return Math.max(1e-6, capacity)
  }

  /** What a request takes of the limit on average, over the backends that draw on it. */
  #meanDraw({ unit, backends }: PacedLimit): number {
    let sum = 0
    let count = 0
    for (const backend of backends) {
      const name = this.plan.backends[backend]!
      const mean = own(this.state.means, name)
      if (mean === undefined) continue
      sum += (unit === 'usd' ? mean.costNano : unit === 'tokens' ? mean.tokens : 1) * (unit === 'requests' ? 1 : this.#truth(name))
      count += 1
    }
    return count > 0 ? sum / count : 0
  }

  #truth(backend: string): number {
    const truth = own(this.state.truth, backend)
    return truth !== undefined && truth.likelyNano > 0 ? Math.min(4, Math.max(0.25, truth.actualNano / truth.likelyNano)) : 1
  }

  /** Rows that stand for the demand to come: at least half of them for the period under way, whose prices are the ones that count. */
  #sample(means: readonly number[], horizon: Horizon, demand: readonly number[], nowMs: number, backMs: readonly number[]): Sample {
    const { plan, state } = this
    const size = state.sample.fallback.length
    const backends = plan.backends.length
    const periods = spread(size, demand)
    const values = new Float64Array(size * backends)
    plan.backends.forEach((name, b) => {
      const column = own(state.sample.columns, name)?.values
      for (let i = 0; i < size; i += 1) {
        const fromMs = periods[i] === 0 ? nowMs : horizon.ends[periods[i]! - 1]!
        values[i * backends + b] = fromMs < (backMs[b] ?? 0) ? Number.NEGATIVE_INFINITY : (column?.[i] ?? Number.NEGATIVE_INFINITY)
      }
    })
    const draws: { readonly backend: number; readonly limit: number; readonly amounts: readonly number[]; readonly factor: number }[] = []
    plan.limits.forEach((limit, index) => {
      for (const backend of limit.backends) {
        const name = plan.backends[backend]!
        const column = own(state.sample.columns, name)
        const mean = own(state.means, name)
        if (column === undefined || mean === undefined || means[index] === 0) continue
        const amounts =
          limit.unit === 'usd' ? column.costNano : limit.unit === 'tokens' ? column.tokens : column.values.map((value) => (value === null ? 0 : 1))
        const long = limit.unit === 'usd' ? mean.costNano : limit.unit === 'tokens' ? mean.tokens : 1
        const short = amounts.reduce((sum, amount) => sum + amount, 0) / Math.max(1, size)
        const factor = short > 0 ? (long / short) * (limit.unit === 'requests' ? 1 : this.#truth(name)) : 1
        draws.push({ backend, limit: index, amounts, factor: factor / means[index]! })
      }
    })
    const amounts = new Float64Array(size * draws.length)
    draws.forEach((draw, d) => {
      for (let i = 0; i < size; i += 1) amounts[i * draws.length + d] = draw.amounts[i]! * draw.factor
    })
    return {
      size,
      weights: new Float64Array(size),
      periods,
      backends,
      values,
      fallback: Float64Array.from(state.sample.fallback),
      drawers: Uint8Array.from(draws, ({ backend }) => backend),
      resources: Uint16Array.from(horizon.ends.flatMap((_, period) => draws.map(({ limit }) => horizon.resourceOf[limit]![period]!))),
      amounts,
    }
  }
}

function lapseWorth({ startMs, endMs }: Bounds): number {
  return PACING.lapseWorth * Math.min(PACING.lapseWorthMost, Math.max(1, Math.sqrt((30 * DAY_MS) / (endMs - startMs))))
}

/** Names come from policies and requests: `constructor` must not find what every object has. */
function own<T>(record: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

function ownOrNew<T>(record: Record<string, T>, key: string, make: () => T): T {
  return own(record, key) ?? (record[key] = make())
}
