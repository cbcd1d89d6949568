import { expect, test } from 'vitest'
import { pacedReasons } from './paced-reasons.ts'
import { Pacing, PACING } from './pacing.ts'

const DAY_MS = 86_400_000
const START_MS = Date.parse('2026-04-01T00:00:00Z')
const MONTH = { startMs: START_MS, endMs: START_MS + 30 * DAY_MS }

/** Ten days of a cent an hour, all of it at the first of two quotas of 20 and 5 USD. */
function tenDays(): Pacing {
  const limits = [
    { backend: 'claude', quantity: 20e9 },
    { backend: 'kimi', quantity: 5e9 },
  ].map(({ backend, quantity }, index) => ({ name: `${backend}.month`, unit: 'usd' as const, backends: [index], quota: true, floor: 0.5, paid: quantity }))
  const pacing = new Pacing({ backends: ['claude', 'kimi'], limits })
  const cent = { costNano: 10_000_000, tokens: 100, requests: 1 }
  for (let hour = 0; hour < 240; hour += 1) pacing.observe(START_MS + hour * 3_600_000, [0.9, 0.8], [cent, cent], 0.4)
  const standings = [
    { quantity: 20e9, used: 2.4e9, bounds: MONTH },
    { quantity: 5e9, used: 0, bounds: MONTH },
  ]
  for (const _ of pacing.solve(standings, START_MS + 10 * DAY_MS, [0, 0])) continue
  return pacing
}

test('work is drawn to a quota by what would lapse if it went on being routed as it was, not by what is foreseen of it', () => {
  const pacing = tenDays()
  const [claude, kimi] = pacing.outlooks
  expect(pacedReasons(pacing).get('kimi')?.draws).toBe('kimi: 100% of its quota ($5.00) would lapse')
  expect(kimi).toMatchObject({ asRouted: 0 })
  // Pacing brings it to what floors aim at; more it has no need of, since there is too little work for the other.
  expect(kimi?.expected).toBeCloseTo((0.5 + PACING.floorMargin) * 5e9, -3)
  expect(claude?.expected).toBeGreaterThan(2.4e9)
})
