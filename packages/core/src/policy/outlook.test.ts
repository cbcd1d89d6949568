import { describe, expect, it } from 'vitest'
import type { Forecast } from './forecast.ts'
import { outlooksOf, type QuotaView } from './outlook.ts'

const FORECAST: Forecast = { scenarios: [50, 80, 100, 120, 200], mean: 110, seen: 100, share: 0.48 }

function quota(limit: number, used: number): QuotaView {
  return { limit, standing: { quantity: 1000, used, bounds: { startMs: 0, endMs: 1 } }, forecast: FORECAST, meanDraw: 5, floor: 0.5 }
}

describe('the outlook', () => {
  it('goes on as it went: use per request seen, for the requests to come', () => {
    const [outlook] = outlooksOf([quota(0, 300)])
    expect(outlook).toMatchObject({ low: 450, expected: 600, high: 900, share: 0.48, likelyShare: 0.5 })
    // A tenth of outcomes end at 450 or below, three tenths at 540: 500 lies between.
    expect(outlook?.belowFloor).toBeCloseTo(0.1 + (0.2 * 50) / 90)
  })

  it('never foresees more than the quota', () => {
    expect(outlooksOf([quota(0, 900)])[0]).toMatchObject({ low: 1000, expected: 1000, high: 1000, belowFloor: 0 })
  })

  it('lets what no longer fits elsewhere come to a quota that is hardly used', () => {
    const [alone] = outlooksOf([quota(0, 100)])
    const [beside] = outlooksOf([quota(0, 100), quota(1, 900)])
    expect(alone?.expected).toBe(200)
    // 800 of the other's 1,800 do not fit there.
    expect(beside?.expected).toBeCloseTo(1000)
    expect(beside?.belowFloor).toBeLessThan(alone?.belowFloor ?? 0)
  })
})
