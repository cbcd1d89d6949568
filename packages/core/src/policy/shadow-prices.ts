/** Requests that stand for the demand to come, one a row. */
export interface Sample {
  readonly size: number
  /** Part of the demand that each row stands for; they add up to 1. */
  readonly weights: Float64Array
  /** The period that it falls in. */
  readonly periods: Uint8Array
  readonly backends: number
  /** Suitability by row and backend; -Infinity where it cannot go there. */
  readonly values: Float64Array
  /** Value of doing without any paid backend. */
  readonly fallback: Float64Array
  /** Which backend draws: one entry for each limit that a backend draws on. */
  readonly drawers: Uint8Array
  /** By period and draw: the resource that is drawn on. */
  readonly resources: Uint16Array
  /** By row and draw, in mean draws of the limit. */
  readonly amounts: Float64Array
}

/** What there is of a resource, in mean draws per request of the demand to come. */
export interface Allowance {
  readonly full: number
  /** What must be used for the floor to hold. */
  readonly floor: number
  /** What using a mean draw is worth while it would lapse otherwise (in suitability); 0 where nothing lapses. */
  readonly worth: number
  /** … and on top of that while the floor is in danger. */
  readonly floorWorth: number
}

export const PRICES = {
  /** Smoothing of the choice (in suitability): hundreds of rows stand for thousands of requests between them. */
  temperature: 0.02,
  /** Width of a kink, as a part of the price where it is: Newton's method wants a slope. */
  kink: 0.1,
  /** The part of the worth of use that comes on only as use falls from nearly all to the floor: a quota that would lapse by half is to draw more work than one that would lapse by a twentieth. */
  growth: 0.6,
  /** A sample cannot tell use from capacity to better than this: within it, the subsidy grows step by step, or prices would jump with every draw. */
  tolerance: 0.04,
  /** Prices beyond the worth of any request change nothing. */
  highest: 8,
  /** Largest step of a price at first; it halves when a price has gone too far. */
  step: 0.5,
  iterations: 8,
  /** Prices are good when use is this near to what is allowed: far within what a sample can tell. */
  precision: 0.02,
}

/** Choices that lose by more than this many temperatures are not made. */
const REACH = 5
/** Steps of the table of how chances fall off. */
const FALL_STEPS = 256
const STEPS_PER_UNIT = FALL_STEPS / PRICES.temperature
/** e to the power of minus k steps: between them it is taken as straight, which is right to two millionths, at a fifth of the time. */
const FALL = Float64Array.from({ length: REACH * FALL_STEPS + 2 }, (_, k) => Math.exp(-k / FALL_STEPS))

/** The chance of what is so much worse than the best (in suitability), relative to it. @param behind 0 to {@link REACH} temperatures. */
function fall(behind: number): number {
  const at = behind * STEPS_PER_UNIT
  const step = Math.trunc(at)
  return FALL[step]! + (at - step) * (FALL[step + 1]! - FALL[step]!)
}

/** Newton's method on the smoothed dual of "most value within these allowances". `prices` (suitability per mean draw) is where it starts, and is changed in place, a step at a time. */
export function* improvePrices(sample: Sample, allowances: readonly Allowance[], prices: Float64Array): Generator<undefined, void> {
  const count = allowances.length
  const use = new Use(sample, count)
  const { total: gradient, curvature: hessian } = use
  const before = new Float64Array(count)
  const limit = new Float64Array(count).fill(PRICES.step)
  const active = new Uint8Array(count)
  for (let iteration = 0; iteration < PRICES.iterations; iteration += 1) {
    use.at(prices)
    let settled = true
    for (let r = 0; r < count; r += 1) {
      const allowance = allowances[r]!
      const { amount, slope } = wanted(allowance, prices[r]!)
      gradient[r] = amount - gradient[r]!
      hessian[r * count + r]! += slope + 1e-4
      const stuck = (prices[r]! <= leastPrice(allowance) && gradient[r]! > 0) || (prices[r]! >= PRICES.highest && gradient[r]! < 0)
      active[r] = stuck ? 0 : 1
      if (!stuck && Math.abs(gradient[r]!) > PRICES.precision * (allowance.full + PRICES.precision)) settled = false
      if (gradient[r]! * before[r]! < 0) limit[r]! /= 2
      before[r] = gradient[r]!
    }
    if (settled) return
    solveLinear(hessian, gradient, active)
    for (let r = 0; r < count; r += 1) {
      if (active[r] === 0) continue
      const step = Math.max(-limit[r]!, Math.min(limit[r]!, -gradient[r]!))
      prices[r] = Math.max(leastPrice(allowances[r]!), Math.min(PRICES.highest, prices[r]! + step))
    }
    yield
  }
}

/** How much of a resource should be used at its price: all down to minus its worth, the floor below that, then nothing. */
function wanted({ full, floor, worth, floorWorth }: Allowance, price: number): { readonly amount: number; readonly slope: number } {
  if (worth === 0 || price >= 0) return { amount: full, slope: 0 }
  const least = Math.min(floor, full)
  const bend = worth * (1 - PRICES.growth)
  const nearly = Math.max(least, full * (1 - PRICES.tolerance))
  if (price >= -bend) {
    const slope = (full - nearly) / bend
    return { amount: full + price * slope, slope }
  }
  if (price >= -worth) {
    const slope = (nearly - least) / (PRICES.growth * worth)
    return { amount: least + (price + worth) * slope, slope }
  }
  const kink = PRICES.kink * floorWorth
  if (price >= -worth - floorWorth + kink) return { amount: least, slope: 0 }
  return { amount: ((price + worth + floorWorth) * least) / kink, slope: least / kink }
}

function leastPrice({ worth, floorWorth }: Allowance): number {
  return worth === 0 ? 0 : -worth - floorWorth
}

/** Adds up the use of each resource at given prices, and minus its derivative by them. Most of the work of pacing: it allocates nothing for a row. */
class Use {
  readonly total: Float64Array
  readonly curvature: Float64Array
  readonly #sample: Sample
  /** By backend, of one row: what is left of its value at these prices, then its chance relative to the best. */
  readonly #chance: Float64Array
  /** The draws of one row that draw anything, and what each is likely to draw. */
  readonly #drawn: Uint16Array
  readonly #likely: Float64Array

  constructor(sample: Sample, resources: number) {
    this.#sample = sample
    this.total = new Float64Array(resources)
    this.curvature = new Float64Array(resources * resources)
    this.#chance = new Float64Array(sample.backends)
    this.#drawn = new Uint16Array(sample.drawers.length)
    this.#likely = new Float64Array(sample.drawers.length)
  }

  at(prices: Float64Array): void {
    const { size, weights, periods, backends, values, fallback, drawers, resources, amounts } = this.#sample
    const chance = this.#chance
    const draws = drawers.length
    this.total.fill(0)
    this.curvature.fill(0)
    for (let i = 0; i < size; i += 1) {
      const row = i * draws
      const period = periods[i]! * draws
      const without = fallback[i]!
      for (let b = 0; b < backends; b += 1) chance[b] = values[i * backends + b]!
      for (let d = 0; d < draws; d += 1) chance[drawers[d]!]! -= prices[resources[period + d]!]! * amounts[row + d]!
      let best = without
      for (let b = 0; b < backends; b += 1) if (chance[b]! > best) best = chance[b]!
      const rival = best - REACH * PRICES.temperature
      let rivals = without > rival ? 1 : 0
      let sum = without > rival ? fall(best - without) : 0
      for (let b = 0; b < backends; b += 1) {
        const left = chance[b]!
        const part = left > rival ? fall(best - left) : 0
        if (part > 0) rivals += 1
        chance[b] = part
        sum += part
      }
      this.#take(row, period, weights[i]!, 1 / sum, rivals > 1)
    }
    this.#complete()
  }

  /** Adds a row. One that only one would take does not move with the prices. */
  #take(row: number, period: number, weight: number, scale: number, shared: boolean): void {
    const { drawers, resources, amounts } = this.#sample
    const { total, curvature } = this
    const chance = this.#chance
    const drawn = this.#drawn
    const likely = this.#likely
    const width = total.length
    let count = 0
    for (let d = 0; d < drawers.length; d += 1) {
      const part = chance[drawers[d]!]! * scale
      const amount = amounts[row + d]!
      const draw = part * amount
      if (draw === 0) continue
      const resource = resources[period + d]!
      const taken = weight * draw
      total[resource]! += taken
      if (!shared) continue
      const cells = resource * width
      curvature[cells + resource]! += taken * (amount - draw)
      for (let k = 0; k < count; k += 1) {
        const e = drawn[k]!
        const together = drawers[d] === drawers[e] ? amounts[row + e]! : 0
        // Draws go by limits and so do resources: an earlier draw stands for an earlier resource, or for the same one.
        curvature[cells + resources[period + e]!]! += taken * (together - likely[k]!) * (resources[period + e] === resource ? 2 : 1)
      }
      drawn[count] = d
      likely[count] = draw
      count += 1
    }
  }

  /** The upper half mirrors the lower one. */
  #complete(): void {
    const { curvature } = this
    const width = this.total.length
    for (let r = 0; r < width; r += 1) {
      for (let c = 0; c <= r; c += 1) curvature[c * width + r] = curvature[r * width + c]! /= PRICES.temperature
    }
  }
}

/** Gaussian elimination over the active rows; the solution replaces `right`. The matrix is positive definite. */
function solveLinear(matrix: Float64Array, right: Float64Array, active: Uint8Array): void {
  const count = right.length
  for (let k = 0; k < count; k += 1) {
    if (active[k] === 0) continue
    const pivot = matrix[k * count + k]!
    for (let r = k + 1; r < count; r += 1) {
      const factor = matrix[r * count + k]! / pivot
      if (active[r] === 0 || factor === 0) continue
      for (let c = k; c < count; c += 1) matrix[r * count + c]! -= factor * matrix[k * count + c]!
      right[r]! -= factor * right[k]!
    }
  }
  for (let k = count - 1; k >= 0; k -= 1) {
    if (active[k] === 0) continue
    let sum = right[k]!
    for (let c = k + 1; c < count; c += 1) if (active[c] === 1) sum -= matrix[k * count + c]! * right[c]!
    right[k] = sum / matrix[k * count + k]!
  }
}

/** Assigns rows to periods: at least half of them to the first, the rest by demand. */
export function spread(size: number, demand: readonly number[]): Uint8Array {
  const periods = new Uint8Array(size)
  if (demand.length === 1) return periods
  const later = demand.reduce((sum, requests) => sum + requests, 0) - demand[0]!
  const now = Math.max(0.5, demand[0]! / (demand[0]! + later))
  let reached = now
  let from = Math.round(now * size)
  for (let period = 1; period < demand.length; period += 1) {
    reached += ((1 - now) * demand[period]!) / later
    const to = period === demand.length - 1 ? size : Math.round(reached * size)
    periods.fill(period, from, to)
    from = to
  }
  return periods
}

/** Gives each row its part of a scenario's demand. A period without rows is left out. */
export function weigh({ weights, periods, size }: Sample, demand: readonly number[], total: number): void {
  const rows = demand.map(() => 0)
  for (let i = 0; i < size; i += 1) rows[periods[i]!]! += 1
  for (let i = 0; i < size; i += 1) weights[i] = demand[periods[i]!]! / total / rows[periods[i]!]!
}
