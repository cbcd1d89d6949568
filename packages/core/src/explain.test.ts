import { expect, test } from 'vitest'
import { manualClock } from './clock.ts'
import { openManciple } from './manciple.ts'

test('An explanation is of the moment at which it was asked for, whatever is decided before the engine has answered', async () => {
  const text = 'budgets: { daily_limit_usd: 0.02 }\nbackends: { claude: { models: [claude-sonnet-4-20250514] }, local: {} }'
  const manciple = await openManciple({ config: { text }, ledger: 'memory', clock: manualClock(Date.parse('2026-06-15T12:00:00Z')) })
  const request = { backend: 'claude', inputTokens: 1000, maxOutputTokens: 1000 } as const
  const asked = manciple.explain(request)
  const { decision } = await manciple.decide(request)
  expect(decision.backend).toBe('claude')
  const { backend, candidates } = await asked
  expect(backend).toBe('claude')
  expect(candidates[0]?.headroom).toEqual([{ limit: 'all.day', unit: 'usd', free: 20_000_000 }])
  // By now there is no room.
  const later = await manciple.explain(request)
  expect(later.backend).toBe('local')
  expect(later.candidates[0]).toMatchObject({
    headroom: [{ free: 20_000_000 - decision.estimateNano }],
    whatIf: { changes: [{ kind: 'room', limit: 'all.day' }] },
  })
  await manciple.close()
})
