import type { BudgetReport, CostsReport, LimitReport, Notice } from '@manciple/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_BYTES } from './messages.ts'
import { daysUpTo, mondayOf, snapshotFrame, snapshotOf, type SnapshotSource } from './snapshot.ts'

const AT = '2026-11-20T15:00:00.000Z'
const spend = (costNano: number, requests: number) => ({ costNano, tokens: 0, requests })
const COSTS: CostsReport = {
  at: AT,
  timezone: 'America/New_York',
  policy: 'v1',
  today: spend(5, 1),
  month: spend(50, 9),
  backends: [
    { backend: 'claude', today: spend(5, 1), month: spend(50, 9) },
    { backend: 'local', today: spend(0, 0), month: spend(0, -2) },
  ],
}
const BUDGET: BudgetReport = {
  at: AT,
  timezone: 'America/New_York',
  policy: 'v1',
  limits: [],
  quotas: [],
  total: { utilization: 0.4, elapsed: 0.5, pace: 0.8, floor: 0.7 },
  localOnly: null,
}
const SOURCE: SnapshotSource = {
  costs: COSTS,
  budget: BUDGET,
  kinds: new Map([
    ['claude', 'cloud'],
    ['local', 'local'],
  ]),
  history: [
    { day: '2026-11-15', backend: 'claude', cost_nano: 20, calls: 4, tokens: 0 },
    { day: '2026-11-16', backend: 'claude', cost_nano: 10, calls: 2, tokens: 0 },
    { day: '2026-11-20', backend: 'claude', cost_nano: 5, calls: 1, tokens: 0 },
    { day: '2026-11-20', backend: 'local', cost_nano: 0, calls: -1, tokens: 0 },
  ],
  fault: undefined,
  alive: true,
  lastRecord: AT,
}
const LIMIT: LimitReport = {
  limit: 'all.day',
  unit: 'usd',
  window: 'day',
  hard: true,
  quantity: 100,
  settled: 5,
  held: 0,
  presumed: 0,
  beside: 0,
  reading: null,
  free: 95,
  spent: 0.05,
  standing: 'within',
  resets: AT,
}

describe('a snapshot', () => {
  it('has spend of day, week from Monday and month, and the local days with their backends', () => {
    const data = snapshotOf(SOURCE)
    expect(data.spent).toEqual({ today_nano: 5, week_nano: 15, month_nano: 50, today_calls: 1, month_calls: 9 })
    expect(data.backends[0]).toEqual({ name: 'claude', kind: 'cloud', today_nano: 5, week_nano: 15, month_nano: 50, today_calls: 1, month_calls: 9 })
    expect(data.backends[1]).toMatchObject({ name: 'local', kind: 'local', month_calls: 0 })
    expect(data.days).toHaveLength(30)
    expect(data.days.at(0)).toEqual({ day: '2026-10-22', backends: {} })
    expect(data.days.at(-1)).toEqual({ day: '2026-11-20', backends: { claude: { cost_nano: 5, calls: 1 }, local: { cost_nano: 0, calls: 0 } } })
  })

  it('says that it is local-only, or that a fault has stopped the cloud', () => {
    const notice = {
      number: 1,
      time: AT,
      severity: 'alert',
      kind: 'local-only',
      scope: 'total',
      episode: 'e',
      text: 'gone',
      data: { reset: AT },
    } satisfies Notice
    expect(snapshotOf({ ...SOURCE, budget: { ...BUDGET, localOnly: notice } }).local_only).toEqual({ since: AT, until: AT, text: 'gone' })
    expect(snapshotOf({ ...SOURCE, fault: { code: 'LEDGER_FAULT', reason: 'EIO', since: AT } }).local_only).toEqual({
      since: AT,
      until: null,
      text: 'Cloud calls are stopped: EIO',
    })
  })

  it('counts what was used beside the router as spent, so that bars, standing and what is free agree', () => {
    const [limit] = snapshotOf({ ...SOURCE, budget: { ...BUDGET, limits: [{ ...LIMIT, beside: 40, held: 10, free: 45, standing: 'near' }] } }).limits
    expect(limit).toMatchObject({ settled: 45, held: 10, presumed: 0, free: 45, quantity: 100, standing: 'near' })
  })

  it('of too many limits has those that are spent most, in the order of the policy', () => {
    const limits = Array.from({ length: 100 }, (_, index) => ({ ...LIMIT, limit: `l${index}`, spent: index % 2 === 0 ? 0.9 : 0.1 }))
    const names = snapshotOf({ ...SOURCE, budget: { ...BUDGET, limits } }).limits.map(({ name }) => name)
    expect(names).toEqual(Array.from({ length: 40 }, (_, index) => `l${index * 2}`))
  })

  it('fits into a message: the oldest days go first', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 16_384, max: MAX_BYTES }), (backends, bytes) => {
        const names = Array.from({ length: backends }, (_, index) => `backend-${index}-${'ü'.repeat(10)}`)
        const history = daysUpTo(Date.parse(AT), 'UTC').flatMap((day) =>
          names.map((backend) => ({ day, backend, cost_nano: 123_456_789, calls: 12, tokens: 0 })),
        )
        const frame = snapshotFrame(snapshotOf({ ...SOURCE, history }), { stream: 's', rev: 1, id: 1 }, bytes)
        expect(frame.length).toBeLessThanOrEqual(bytes)
        const { days } = (JSON.parse(frame) as [string, unknown, { data: { days: { day: string }[] } }])[2].data
        if (days.length > 0) expect(days.at(-1)?.day).toBe('2026-11-20')
      }),
      { numRuns: 30 },
    )
  })
})

describe('local days', () => {
  it('are those of the zone, each once, over daylight saving', () => {
    expect(daysUpTo(Date.parse('2026-11-20T04:59:00Z'), 'America/New_York').at(-1)).toBe('2026-11-19')
    expect(daysUpTo(Date.parse('2026-11-20T05:00:00Z'), 'America/New_York').at(-1)).toBe('2026-11-20')
    const days = daysUpTo(Date.parse('2026-11-10T12:00:00Z'), 'America/New_York')
    expect(new Set(days).size).toBe(30)
    expect(days).toEqual(days.toSorted())
  })

  it('belong to the week that began on Monday', () => {
    expect(['2026-11-15', '2026-11-16', '2026-11-20', '2026-11-22', '2027-01-01'].map(mondayOf)).toEqual([
      '2026-11-09',
      '2026-11-16',
      '2026-11-16',
      '2026-11-16',
      '2026-12-28',
    ])
  })
})
