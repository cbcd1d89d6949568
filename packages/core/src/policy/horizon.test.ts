import { describe, expect, it } from 'vitest'
import { horizonOf, type LimitStanding } from './horizon.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
const span = (startMs: number, endMs: number, used = 0): LimitStanding => ({ quantity: 100, used, bounds: { startMs, endMs } })

describe('the horizon', () => {
  it('is one period when all windows end together', () => {
    const { ends, resources, resourceOf } = horizonOf([span(0, 30 * DAY, 20), span(0, 30 * DAY)], 3 * DAY, [])
    expect(ends).toEqual([30 * DAY])
    expect(resources.map(({ used }) => used)).toEqual([20, 0])
    expect(resourceOf).toEqual([[0], [1]])
  })

  it('gives every week a price of its own, and the month one', () => {
    const { ends, resources, resourceOf } = horizonOf([span(0, 7 * DAY, 30), span(0, 30 * DAY)], DAY, [])
    expect(ends).toEqual([7 * DAY, 14 * DAY, 21 * DAY, 28 * DAY, 30 * DAY])
    expect(resourceOf[0]).toHaveLength(5)
    expect(new Set(resourceOf[0]).size).toBe(5)
    expect(new Set(resourceOf[1]).size).toBe(1)
    const [first, second] = [resources[resourceOf[0]![0]!]!, resources[resourceOf[0]![1]!]!]
    expect([first.capacity, first.used, second.capacity, second.used]).toEqual([100, 30, 100, 0])
  })

  it('takes short windows together beyond the one that is open', () => {
    const { ends, resources, resourceOf } = horizonOf([span(0, 5 * HOUR), span(0, 7 * DAY)], HOUR, [])
    expect(ends).toEqual([5 * HOUR, 7 * DAY])
    expect(resources[resourceOf[0]![1]!]!.capacity).toBeCloseTo((100 * (7 * DAY - 5 * HOUR)) / (5 * HOUR))
  })

  it('ends a period when a backend is expected back', () => {
    expect(horizonOf([span(0, 30 * DAY)], DAY, [0, 2 * DAY]).ends).toEqual([2 * DAY, 30 * DAY])
  })
})
