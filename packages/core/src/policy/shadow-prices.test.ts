import { describe, expect, it } from 'vitest'
import { improvePrices, type Allowance, type Sample } from './shadow-prices.ts'

/** Requests that one backend takes, a mean draw each. */
function alike(size: number): Sample {
  return {
    size,
    weights: new Float64Array(size).fill(1 / size),
    periods: new Uint8Array(size),
    backends: 1,
    values: new Float64Array(size).fill(1),
    fallback: new Float64Array(size),
    drawers: Uint8Array.of(0),
    resources: Uint16Array.of(0),
    amounts: new Float64Array(size).fill(1),
  }
}

function priceOf(full: number): number {
  const allowance: Allowance = { full, floor: full / 2, worth: 2, floorWorth: 6 }
  const prices = new Float64Array(1)
  for (let k = 0; k < 4; k += 1) for (const step of improvePrices(alike(16), [allowance], prices)) expect(step).toBeUndefined()
  return prices[0]!
}

describe('a shadow price', () => {
  it('takes the less from a call the more of the quota would lapse', () => {
    const [short, spare, half, missed] = [0.5, 1.1, 1.8, 3].map(priceOf)
    // Half of the requests have to go without: the price is what one is worth.
    expect(short).toBeCloseTo(1, 1)
    // A tenth would lapse: some of what use is worth; nearly half: nearly all; the floor is missed: more than that.
    expect(spare).toBeGreaterThan(-1.1)
    expect(spare).toBeLessThan(-0.8)
    expect(half).toBeLessThan(spare! - 0.5)
    expect(half).toBeGreaterThan(-2)
    expect(missed).toBeLessThan(-7)
  })
})
