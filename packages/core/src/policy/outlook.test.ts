import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Forecast } from './forecast.ts'
import { chanceBelow, endsAsRouted, openShare, outlooksOf, type QuotaView } from './outlook.ts'

const FORECAST: Forecast = { scenarios: [50, 80, 100, 120, 200], mean: 110, seen: 100, share: 0.48 }
const MIDDLE = 2

/** 1,000 of which at least half is aimed at; a request takes 5. Looked at before half of its window. */
function quota(limit: number, used: number, more: Partial<QuotaView> = {}): QuotaView {
  return {
    limit,
    standing: { quantity: 1000, used, bounds: { startMs: 0, endMs: 100 } },
    forecast: FORECAST,
    meanDraw: 5,
    floor: 0.5,
    open: 1,
    paid: 1000,
    ...more,
  }
}

const endsOf = (quotas: readonly QuotaView[], nowMs = 40): readonly (readonly number[])[] => outlooksOf(quotas, nowMs, 0).map(({ ends }) => ends)

describe('the outlook', () => {
  it('has all work to come go where room is, one scenario of demand at a time', () => {
    const [outlook] = outlooksOf([quota(0, 300)], 40, 0)
    expect(outlook).toMatchObject({ ends: [550, 700, 800, 900, 1000], low: 550, expected: 800, high: 1000, ahead: 110, share: 0.48 })
  })

  it('holds floors before anything else: what is not needed where it went goes where a floor is in danger', () => {
    // As it went, the second would end at 250 at most, the first beyond 1,000.
    const [rich, poor] = endsOf([quota(0, 800), quota(1, 100)])
    expect(poor?.slice(0, 3)).toEqual([350, 500, 500])
    expect(rich?.[0]).toBe(800)
    // 100 requests: 80 for the floor of the other, 20 for this.
    expect(rich?.[MIDDLE]).toBe(900)
  })

  it('leaves work where it went while that needs it itself', () => {
    const [one, other] = endsOf([quota(0, 200), quota(1, 100)])
    // 80 requests, 2 and 1 of each so far, for which 32 and 16 will do; the other 32 by what is still missing, 140 and 320.
    expect(one?.[1]).toBeCloseTo(360 + (160 * 140) / 460)
    expect(other?.[1]).toBeCloseTo(180 + (160 * 320) / 460)
  })

  it('has what no floor needs use what is dearest', () => {
    const [cheap, dear] = endsOf([quota(0, 600, { meanDraw: 2 }), quota(1, 600)])
    expect([cheap?.[MIDDLE], dear?.[MIDDLE]]).toEqual([640, 1000])
  })

  it('sends nothing to a backend that rules and pins keep it from', () => {
    const [, barred, half] = endsOf([quota(0, 100), quota(1, 50, { open: 0 }), quota(2, 100, { open: 0.2 })])
    expect(barred).toEqual([50, 50, 50, 50, 50])
    // A fifth of 100 requests.
    expect(half?.[MIDDLE]).toBe(200)
  })

  it('takes nothing from a quota of the month for a week that is too quiet for its own', () => {
    const month = quota(0, 100, { forecast: { ...FORECAST, scenarios: FORECAST.scenarios.map((requests) => 10 * requests) } })
    const week = quota(1, 100, {
      standing: { quantity: 1000, used: 100, bounds: { startMs: 0, endMs: 50 } },
      forecast: { ...FORECAST, scenarios: [4, 6, 8, 10, 200] },
    })
    const [ofMonth, ofWeek] = endsOf([month, week], 10)
    expect(ofWeek?.slice(0, 4)).toEqual([120, 130, 140, 150])
    expect(ofMonth).toEqual([1000, 1000, 1000, 1000, 1000])
    // Nor may the week take what comes after it.
    expect(endsOf([quota(0, 1000), week], 10)[1]?.slice(0, 4)).toEqual([120, 130, 140, 150])
  })

  it('says what would lapse if nothing were done about it', () => {
    const [alone] = outlooksOf([quota(0, 100)], 40, 0)
    expect(alone).toMatchObject({ asRouted: 200, expected: 600 })
  })

  it('believes, from half of the window on, in no more than thrice the demand so far', () => {
    const quiet = { forecast: { ...FORECAST, seen: 4, scenarios: [50, 80, 100, 120, 200] } }
    expect(endsOf([quota(0, 20, quiet)], 49)[0]?.[MIDDLE]).toBe(520)
    // 4 in 60 of 100, 8 at most in the 40 to come.
    expect(outlooksOf([quota(0, 20, quiet)], 60, 0)[0]).toMatchObject({ ends: [60, 60, 60, 60, 60], ahead: 8 })
    // Of which only a third was watched.
    expect(outlooksOf([quota(0, 20, quiet)], 60, 27)[0]).toMatchObject({ expected: 520, ahead: 110 })
  })

  it('never foresees more than the quota, nor less than what is used, nor more work until a window ends than comes until then', () => {
    const part = fc.integer({ min: 0, max: 20 }).map((steps) => steps / 20)
    const view = fc.record({
      used: part,
      meanDraw: fc.integer({ min: 0, max: 20 }),
      floor: part,
      open: part,
      paid: fc.integer({ min: 1, max: 100 }),
      weeks: fc.integer({ min: 1, max: 3 }),
    })
    fc.assert(
      fc.property(fc.array(view, { minLength: 1, maxLength: 5 }), fc.integer({ min: 0, max: 100 }), (views, nowMs) => {
        const quotas = views.map(({ used, weeks, ...more }, limit) => {
          const forecast = { ...FORECAST, scenarios: FORECAST.scenarios.map((requests) => weeks * requests) }
          return quota(limit, used * 1000, { ...more, forecast, standing: { quantity: 1000, used: used * 1000, bounds: { startMs: 0, endMs: 100 * weeks } } })
        })
        const ends = endsOf(quotas, nowMs)
        FORECAST.scenarios.forEach((requests, scenario) => {
          const calls = [0, 0, 0]
          for (const [index, { standing, meanDraw, open }] of quotas.entries()) {
            const end = ends[index]?.[scenario] ?? Number.NaN
            const weeks = standing.bounds.endMs / 100
            expect(end).toBeGreaterThanOrEqual(standing.used)
            expect(end).toBeLessThanOrEqual(standing.quantity)
            const taken = meanDraw > 0 ? (end - standing.used) / meanDraw : 0
            expect(taken).toBeLessThanOrEqual(open * weeks * requests + 1e-6)
            for (let week = weeks; week <= calls.length; week += 1) calls[week - 1]! += taken
          }
          calls.forEach((taken, week) => expect(taken).toBeLessThanOrEqual((week + 1) * requests + 1e-6))
        })
      }),
    )
  })
})

describe('work that goes on as it went', () => {
  it('uses per request what it used per request', () => {
    expect([0, MIDDLE, 4].map((scenario) => endsAsRouted(scenario, [quota(0, 300)])[0])).toEqual([450, 600, 900])
    expect(endsAsRouted(MIDDLE, [quota(0, 900)])).toEqual([1000])
  })

  it('lets what no longer fits elsewhere come to a quota that is hardly used', () => {
    expect(endsAsRouted(MIDDLE, [quota(0, 100)])[0]).toBe(200)
    // 800 of the other's 1,800 do not fit there.
    expect(endsAsRouted(MIDDLE, [quota(0, 100), quota(1, 900)])[0]).toBeCloseTo(1000)
  })
})

describe('the chance to end below', () => {
  it('lies between the scenarios in proportion', () => {
    // A tenth of outcomes end at 450 or below, three tenths at 540: 500 lies between.
    expect(chanceBelow(500, [450, 540, 600, 660, 900])).toBeCloseTo(0.1 + (0.2 * 50) / 90)
    expect(chanceBelow(500, [900, 660, 450, 540, 600])).toBeCloseTo(0.1 + (0.2 * 50) / 90)
  })

  it('is none where the poorest scenario gets there, and certain where the richest does not', () => {
    expect(chanceBelow(500, [500, 540, 600, 660, 900])).toBe(0)
    expect(chanceBelow(500, [100, 200, 300, 400, 499])).toBe(1)
    expect(chanceBelow(500, [400, 400, 400, 400, 500])).toBe(0.9)
  })
})

describe('the share of requests that may go somewhere', () => {
  it('counts those that any of its backends may take', () => {
    expect(openShare([[1, null, 0.5, null]])).toBe(0.5)
    expect(
      openShare([
        [1, null, null, null],
        [null, 0.2, null, null],
      ]),
    ).toBe(0.5)
    expect(openShare([[], []])).toBe(0)
  })
})
