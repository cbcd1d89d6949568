import { HOUR_MS, type Bounds } from '../windows.ts'

/** Demand as it was seen: plain JSON, at most a quarter of a year of it. */
export interface DemandHistory {
  /** Of the first entry, in hours since the epoch. */
  firstHour: number
  /** Requests an hour, the last hour still under way. */
  readonly hours: number[]
}

/** Demand that is still to come in a window. Requests. */
export interface Forecast {
  /** One for each of {@link SCENARIOS}, ascending. */
  readonly scenarios: readonly number[]
  readonly mean: number
  /** Seen in the window so far. */
  readonly seen: number
  /** Seen ÷ (seen + expected): what utilization is judged against. 0 to 1. */
  readonly share: number
}

/** What prices are made for. */
export interface HedgedForecast extends Forecast {
  /** As {@link Forecast.scenarios}, but the lowest lies further out: see `FORECAST.lowestEarly`. */
  readonly hedged: readonly number[]
}

/** Quantiles of the demand to come: five scenarios of equal weight. */
export const SCENARIOS: readonly number[] = [0.1, 0.3, 0.5, 0.7, 0.9]

export const FORECAST = {
  /** Two cycles and the one before them in part: enough to know the week by the hour. */
  keptHours: 92 * 24,
  /** Weeks of flat demand that the hour-of-week profile starts from: one bursty week must not be taken for a habit. */
  profilePriorWeeks: 4,
  /** (Standard deviation ÷ mean)² of a day's demand, the likeness of neighbouring days included, before it has been measured. Set above what bursty traffic shows (BurstGPT: 3 to 5): believing early demand too much costs quota that lapses, believing it too little costs less. */
  priorDispersion: 7,
  /** Days that the prior weighs against measured ones. */
  dispersionPriorDays: 20,
  /** How far (log) the level of a window may be from that of the days before it, beyond their unevenness. */
  levelSpread: 0.2,
  /** Over many more days than these, totals are steadier than their days would make them, since work that is not done this week is done the next: of the burstiness of days a week shows .76, a month .15. */
  steadyDays: 12.6,
  /** Days that count as recent, and how far (log) the demand of the next ones may be from theirs. */
  recentDays: 1,
  recentSpread: 0.8,
  /** Without history: people buy about what they need. Demand ÷ what the quotas can take, and its spread (log). */
  capacityRatio: 1.2,
  capacitySpread: 0.6,
  /** The quantile that stands for little demand where prices are made, at the start of a window and at its end: the nearer the end, the less can be made good when it falls silent. Far out at a modest `PACING.lapseWorth`, rather than near at twice that worth: where there is more work than quotas take, that leaves less unused and serves more. */
  lowestEarly: 0.03,
  lowestLate: 0.006,
}

const DAY_HOURS = 24
const WEEK_HOURS = 168

/** Points at which the distribution of the demand to come is worked out, evenly in its logarithm around the expected one. */
const GRID = 64
const GRID_FROM = Math.log(1e-3)
const GRID_STEP = (Math.log(40) - GRID_FROM) / (GRID - 1)

export function emptyHistory(): DemandHistory {
  return { firstHour: 0, hours: [] }
}

/** Counts requests. Time does not go back: what comes late counts as now. */
export function countDemand(history: DemandHistory, atMs: number, requests = 1): void {
  const { hours } = history
  const hour = Math.floor(atMs / HOUR_MS)
  if (hours.length === 0) history.firstHour = hour
  if (hours.length === 0 || hour >= history.firstHour + hours.length) openHours(history, hour)
  hours[hours.length - 1]! += requests
}

/** Opens the hours up to `hour`: those without a request count as well. */
function openHours(history: DemandHistory, hour: number): void {
  const { hours } = history
  let next = Math.max(history.firstHour + hours.length, hour - FORECAST.keptHours + 1)
  if (next > history.firstHour + hours.length) hours.length = 0
  for (; next <= hour; next += 1) hours.push(0)
  if (hours.length > FORECAST.keptHours) hours.splice(0, hours.length - FORECAST.keptHours)
  history.firstHour = hour + 1 - hours.length
}

/** What the history says at one moment: any window can be asked for. */
export class Forecaster {
  readonly #history: DemandHistory
  readonly #nowMs: number
  /** Expected demand relative to the mean, by hour of the week, summed up to the start of the hour. */
  readonly #profile = new Float64Array(WEEK_HOURS + 1)
  readonly #dispersion: number
  readonly #capacityPerHour: number

  /** @param capacityPerHour requests an hour that would use all quotas exactly. */
  constructor(history: DemandHistory, nowMs: number, capacityPerHour: number) {
    this.#history = history
    this.#nowMs = nowMs
    this.#capacityPerHour = capacityPerHour
    this.#dispersion = dispersionOf(history)
    const counts = new Float64Array(WEEK_HOURS)
    const { hours, firstHour } = history
    let total = 0
    hours.forEach((count, index) => {
      counts[(firstHour + index) % WEEK_HOURS]! += count
      total += count
    })
    const weeks = hours.length / WEEK_HOURS
    const mean = total / Math.max(1, hours.length)
    const prior = FORECAST.profilePriorWeeks
    for (let hour = 0; hour < WEEK_HOURS; hour += 1) {
      const relative = mean > 0 ? (prior + counts[hour]! / mean) / (prior + weeks) : 1
      this.#profile[hour + 1] = this.#profile[hour]! + relative
    }
  }

  /** The demand from now until the window ends. */
  remaining({ startMs, endMs }: Bounds): HedgedForecast {
    const nowMs = Math.min(Math.max(this.#nowMs, startMs), endMs)
    const seen = this.#seenSince(startMs)
    const passed = this.#mass(startMs, nowMs)
    const ahead = this.#mass(nowMs, endMs)
    if (ahead <= 0) return { scenarios: SCENARIOS.map(() => 0), hedged: SCENARIOS.map(() => 0), mean: 0, seen, share: 1 }
    const level = this.#levelBefore(startMs, endMs)
    // How much of a window is seen by now varies with its bursts: a Beta distribution, as if each burst fell into either part.
    const bursts = (endMs - startMs) / (DAY_HOURS * HOUR_MS) / this.#dispersion
    const share = passed / (passed + ahead)
    return posterior({
      seen,
      expected: level.perHour * (passed + ahead),
      spread: level.spread,
      passedBursts: bursts * share,
      aheadBursts: bursts * (1 - share),
      share,
      recent: this.#recent(endMs, ahead),
      lowest: FORECAST.lowestEarly + ((FORECAST.lowestLate - FORECAST.lowestEarly) * (nowMs - startMs)) / (endMs - startMs),
    })
  }

  /** What the last days alone would foresee, and how little that says: demand comes in spells, so they speak for the next days, hardly for the next weeks. */
  #recent(endMs: number, ahead: number): { readonly expected: number; readonly spread: number } | undefined {
    const { hours, firstHour } = this.#history
    const days = FORECAST.recentDays * DAY_HOURS
    if (hours.length < days) return undefined
    let seen = 0
    for (let index = hours.length - days; index < hours.length; index += 1) seen += hours[index]!
    const passed = this.#mass((firstHour + hours.length - days) * HOUR_MS, this.#nowMs)
    const aheadDays = (endMs - this.#nowMs) / (DAY_HOURS * HOUR_MS)
    return {
      expected: ((seen + 1) / passed) * ahead,
      spread: FORECAST.recentSpread * Math.sqrt(1 + aheadDays / FORECAST.recentDays),
    }
  }

  /** Demand that is expected from now until `untilMs`, as a share of that until `endMs`. */
  shareUntil(untilMs: number, endMs: number): number {
    if (untilMs >= endMs) return 1
    return this.#mass(this.#nowMs, untilMs) / Math.max(1e-9, this.#mass(this.#nowMs, endMs))
  }

  #seenSince(startMs: number): number {
    const { hours, firstHour } = this.#history
    let seen = 0
    for (let index = Math.max(0, Math.floor(startMs / HOUR_MS) - firstHour); index < hours.length; index += 1) seen += hours[index]!
    return seen
  }

  /** Requests per unit of profile before the window, and how sure that is: what was seen, mixed with what the quotas were bought for. */
  #levelBefore(startMs: number, endMs: number): { readonly perHour: number; readonly spread: number } {
    const { hours, firstHour } = this.#history
    const count = Math.min(hours.length, Math.floor(startMs / HOUR_MS) - firstHour)
    const windowDays = (endMs - startMs) / (DAY_HOURS * HOUR_MS)
    const own = this.#unevenness(windowDays)
    const capacity = FORECAST.capacityRatio * this.#capacityPerHour
    const capacityWeight = 1 / FORECAST.capacitySpread ** 2
    let total = 0
    for (let index = 0; index < count; index += 1) total += hours[index]!
    if (count < DAY_HOURS || total === 0) return { perHour: capacity, spread: Math.sqrt(1 / capacityWeight + own) }
    const seenWeight = 1 / (FORECAST.levelSpread ** 2 + this.#unevenness(count / DAY_HOURS))
    const log = (seenWeight * Math.log(total / count) + capacityWeight * Math.log(capacity)) / (seenWeight + capacityWeight)
    return { perHour: Math.exp(log), spread: Math.sqrt(1 / (seenWeight + capacityWeight) + own) }
  }

  /** (Standard deviation ÷ mean)² of the demand of so many days. */
  #unevenness(days: number): number {
    return this.#dispersion / days / (1 + (days / FORECAST.steadyDays) ** 2)
  }

  #mass(fromMs: number, toMs: number): number {
    return toMs <= fromMs ? 0 : this.#massTo(toMs) - this.#massTo(fromMs)
  }

  #massTo(atMs: number): number {
    const hour = Math.floor(atMs / HOUR_MS)
    const phase = hour % WEEK_HOURS
    const within = (atMs - hour * HOUR_MS) / HOUR_MS
    const partial = this.#profile[phase]! + within * (this.#profile[phase + 1]! - this.#profile[phase]!)
    return Math.floor(hour / WEEK_HOURS) * this.#profile[WEEK_HOURS]! + partial
  }
}

interface Evidence {
  readonly seen: number
  readonly expected: number
  readonly spread: number
  readonly passedBursts: number
  readonly aheadBursts: number
  readonly share: number
  readonly recent: { readonly expected: number; readonly spread: number } | undefined
  /** The lowest quantile that prices are made for. */
  readonly lowest: number
}

/**
 * The demand to come, R, given what was seen, S: the window's total N = S + R is log-normal around `expected`, S ÷ N is Beta(passedBursts, aheadBursts).
 * Their product over a grid of R, in closed form but for its normalisation.
 */
function posterior({ seen, expected, spread, passedBursts, aheadBursts, share, recent, lowest }: Evidence): HedgedForecast {
  const centre = Math.log(Math.max(1e-9, (1 - share) * (expected + seen)))
  const logs = new Float64Array(GRID)
  let best = Number.NEGATIVE_INFINITY
  for (let index = 0; index < GRID; index += 1) {
    const remaining = Math.exp(centre + GRID_FROM + index * GRID_STEP)
    const total = seen + remaining
    const logTotal = Math.log(total)
    const distance = (logTotal - Math.log(expected)) / spread
    const seenTerm = seen > 0 ? (passedBursts - 1) * (Math.log(seen) - logTotal) : 0
    const apart = recent === undefined ? 0 : (Math.log(remaining) - Math.log(recent.expected)) / recent.spread
    // dR = R d(log R): the exponent of R grows by one.
    const log = -0.5 * (distance * distance + apart * apart) - 2 * logTotal + seenTerm + aheadBursts * Math.log(remaining) - (aheadBursts - 1) * logTotal
    logs[index] = log
    best = Math.max(best, log)
  }
  let sum = 0
  let mean = 0
  for (let index = 0; index < GRID; index += 1) {
    const weight = Math.exp(logs[index]! - best)
    logs[index] = weight
    sum += weight
    mean += weight * Math.exp(centre + GRID_FROM + index * GRID_STEP)
  }
  mean /= sum
  const scenarios = quantiles(SCENARIOS, logs, sum, centre)
  const hedged = [...quantiles([lowest], logs, sum, centre), ...scenarios.slice(1)]
  return { scenarios, hedged, mean, seen, share: seen + mean > 0 ? seen / (seen + mean) : share }
}

function quantiles(wanted: readonly number[], weights: Float64Array, sum: number, centre: number): readonly number[] {
  const found: number[] = []
  let below = 0
  let index = 0
  for (const quantile of wanted) {
    while (index < GRID - 1 && below + weights[index]! < quantile * sum) below += weights[index++]!
    const within = weights[index]! > 0 ? (quantile * sum - below) / weights[index]! : 0.5
    found.push(Math.exp(centre + GRID_FROM + (index - 0.5 + within) * GRID_STEP))
  }
  return found
}

/** (Standard deviation ÷ mean)² of daily demand with the likeness of up to two neighbouring days, mixed with the prior. */
function dispersionOf({ hours, firstHour }: DemandHistory): number {
  const days: number[] = []
  // The first and the last day are there in part.
  for (let index = (DAY_HOURS - (firstHour % DAY_HOURS)) % DAY_HOURS; index + DAY_HOURS <= hours.length; index += DAY_HOURS) {
    let day = 0
    for (let hour = index; hour < index + DAY_HOURS; hour += 1) day += hours[hour]!
    days.push(day)
  }
  const mean = days.reduce((sum, day) => sum + day, 0) / Math.max(1, days.length)
  let measured = 0
  if (mean > 0) {
    for (let index = 0; index < days.length; index += 1) {
      const own = days[index]! / mean - 1
      measured += own * (own + 2 * ((days[index + 1] ?? mean) / mean - 1) + 2 * ((days[index + 2] ?? mean) / mean - 1))
    }
  }
  const { dispersionPriorDays, priorDispersion } = FORECAST
  return Math.max(0.05, (dispersionPriorDays * priorDispersion + Math.max(0, measured)) / (dispersionPriorDays + days.length))
}
