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
  readonly draws: readonly Draw[]
}

/** What a backend takes of a limit for each row, in mean draws of that limit. */
export interface Draw {
  readonly backend: number
  /** By period. */
  readonly resources: readonly number[]
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

/** Newton's method on the smoothed dual of "most value within these allowances". `prices` (suitability per mean draw) is where it starts, and is changed in place. */
export function improvePrices(sample: Sample, allowances: readonly Allowance[], prices: Float64Array): void {
  const count = allowances.length
  const gradient = new Float64Array(count)
  const before = new Float64Array(count)
  const hessian = new Float64Array(count * count)
  const limit = new Float64Array(count).fill(PRICES.step)
  const active = new Uint8Array(count)
  for (let iteration = 0; iteration < PRICES.iterations; iteration += 1) {
    use(sample, prices, gradient, hessian)
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
  }
}

/** How much of a resource should be used at its price: all down to minus its worth, the floor below that, then nothing. */
function wanted({ full, floor, worth, floorWorth }: Allowance, price: number): { readonly amount: number; readonly slope: number } {
  if (worth === 0 || price >= 0) return { amount: full, slope: 0 }
  const least = Math.min(floor, full)
  const bend = worth * (1 - PRICES.kink)
  const nearly = Math.max(least, full * (1 - PRICES.tolerance))
  if (price >= -bend) {
    const slope = (full - nearly) / bend
    return { amount: full + price * slope, slope }
  }
  if (price >= -worth) {
    const slope = (nearly - least) / (PRICES.kink * worth)
    return { amount: least + (price + worth) * slope, slope }
  }
  const kink = PRICES.kink * floorWorth
  if (price >= -worth - floorWorth + kink) return { amount: least, slope: 0 }
  return { amount: ((price + worth + floorWorth) * least) / kink, slope: least / kink }
}

function leastPrice({ worth, floorWorth }: Allowance): number {
  return worth === 0 ? 0 : -worth - floorWorth
}

/** Use of each resource at these prices, and minus its derivative by them. */
function use(sample: Sample, prices: Float64Array, total: Float64Array, curvature: Float64Array): void {
  const { size, weights, periods, backends, values, fallback, draws } = sample
  const count = prices.length
  total.fill(0)
  curvature.fill(0)
  const chance = new Float64Array(backends)
  const drawn = draws.length
  const taken = new Float64Array(drawn)
  const resource = new Int32Array(drawn)
  for (let i = 0; i < size; i += 1) {
    const base = i * backends
    const period = periods[i]!
    let best = fallback[i]!
    for (let b = 0; b < backends; b += 1) chance[b] = values[base + b]!
    for (let d = 0; d < drawn; d += 1) {
      const draw = draws[d]!
      resource[d] = draw.resources[period]!
      chance[draw.backend]! -= prices[resource[d]!]! * draw.amounts[i]!
    }
    let taker = -1
    for (let b = 0; b < backends; b += 1) {
      if (chance[b]! > best) {
        best = chance[b]!
        taker = b
      }
    }
    const rival = best - REACH * PRICES.temperature
    let rivals = fallback[i]! > rival ? 1 : 0
    for (let b = 0; b < backends; b += 1) if (chance[b]! > rival) rivals += 1
    if (rivals === 1) {
      for (let d = 0; d < drawn; d += 1) if (draws[d]!.backend === taker) total[resource[d]!]! += weights[i]! * draws[d]!.amounts[i]!
      continue
    }
    let sum = fallback[i]! > rival ? Math.exp((fallback[i]! - best) / PRICES.temperature) : 0
    for (let b = 0; b < backends; b += 1) {
      const weight = chance[b]! > rival ? Math.exp((chance[b]! - best) / PRICES.temperature) : 0
      chance[b] = weight
      sum += weight
    }
    const scale = weights[i]! / sum
    for (let d = 0; d < drawn; d += 1) {
      const draw = draws[d]!
      taken[d] = chance[draw.backend]! * scale * draw.amounts[i]!
      total[resource[d]!]! += taken[d]!
    }
    for (let d = 0; d < drawn; d += 1) {
      if (taken[d] === 0) continue
      const row = resource[d]! * count
      for (let e = 0; e < drawn; e += 1) {
        if (taken[e] === 0) continue
        const together = draws[d]!.backend === draws[e]!.backend ? taken[d]! * draws[e]!.amounts[i]! : 0
        curvature[row + resource[e]!]! += together - (taken[d]! * taken[e]!) / weights[i]!
      }
    }
  }
  for (let k = 0; k < count * count; k += 1) curvature[k]! /= PRICES.temperature
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
