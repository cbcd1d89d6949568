import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import type { BudgetReport, CostsReport, Notice } from '@manciple/core'
import { newTally } from './traffic.ts'
import { bar, renderFrame, renderLine, WIDTH } from './view.ts'
import type { Snapshot } from './view.ts'

const AT = '2026-11-12T14:00:00.000Z'
const NOTHING = { costNano: 0, tokens: 0, requests: 0 }

const budget: BudgetReport = {
  at: AT,
  timezone: 'UTC',
  policy: 'p',
  limits: [
    {
      limit: 'all.day',
      unit: 'usd',
      window: 'day',
      hard: true,
      quantity: 5e9,
      settled: 4_999_999_999,
      held: 0,
      presumed: 0,
      beside: 0,
      reading: null,
      free: 1,
      spent: 0.9999,
      standing: 'near',
      resets: '2026-11-13T00:00:00.000Z',
    },
    {
      limit: 'a-limit-with-a-very-long-name',
      unit: 'tokens',
      window: 'year',
      hard: true,
      quantity: 45_000_000,
      settled: 1,
      held: 0,
      presumed: 0,
      beside: 0,
      reading: null,
      free: 1,
      spent: 0,
      standing: 'within',
      resets: '2026-12-12T14:00:00.000Z',
    },
    {
      limit: 'rolling',
      unit: 'requests',
      window: '5h',
      hard: true,
      quantity: 10,
      settled: 11,
      held: 0,
      presumed: 0,
      beside: 0,
      reading: null,
      free: 0,
      spent: 1.1,
      standing: 'over',
      resets: null,
    },
  ],
  quotas: [
    {
      backend: 'claude',
      kind: 'cloud',
      floor: 0.5,
      limit: 'claude.month',
      unit: 'usd',
      quantity: 2e10,
      settled: 1e10,
      utilization: 0.5,
      elapsed: 0.4,
      pace: 1.25,
      resets: null,
      began: null,
      course: [],
      forecast: null,
      lapseNano: null,
    },
    {
      backend: 'kimi',
      kind: 'cloud',
      floor: 0.5,
      limit: 'kimi.month',
      unit: 'usd',
      quantity: 2e10,
      settled: 0,
      utilization: 0,
      elapsed: 0,
      pace: null,
      resets: null,
      began: null,
      course: [],
      forecast: null,
      lapseNano: null,
    },
  ],
  total: { utilization: 0.25, elapsed: 0.4, pace: 0.625, floor: 0.7 },
  localOnly: null,
}
const costs: CostsReport = { at: AT, timezone: 'UTC', policy: 'p', today: NOTHING, month: { ...NOTHING, costNano: 1_234_500_000 }, backends: [] }
const notice: Notice = {
  number: 1,
  time: AT,
  severity: 'alert',
  kind: 'local-only',
  scope: 'total',
  episode: 'e',
  text: 'Cloud budget exhausted, operating local-only until '.repeat(3),
  data: {},
}
const snapshot: Snapshot = { budget, costs, notices: Array.from({ length: 9 }, () => notice) }

test('no line of the picture is wider than 80 columns, and it names every limit, backend and the last five notices', () => {
  const lines = renderFrame({ snapshot, tally: { ...newTally(5000), answered: 2500 }, perSecond: 124.4 }).map((line) => stripVTControlCharacters(line))
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(WIDTH)
  const text = lines.join('\n')
  expect(text).toContain('2,500/5,000 calls  124 decisions/s')
  expect(text).toMatch(/all\.day +4\.99 +5\.00 .* 99 % +in 10 h/)
  expect(text).toMatch(/rolling +11 +10 .*110 %/)
  expect(text).toMatch(/claude +█{10}░{10} +50 % .* 1\.25/)
  expect(text).toMatch(/together .* 25 % .* 0\.6/)
  expect(text.match(/Cloud budget exhausted/g)?.length).toBe(5)
})

test('a log line says how far it is, when, what was spent and what was told last', () => {
  const line = renderLine({ snapshot, tally: { ...newTally(5000), answered: 10 }, perSecond: 3 })
  expect(line).toMatch(/10\/5,000 calls +3\/s +2026-11-12 14:00 +\$1\.23 this month +claude 50 % kimi 0 % +local-only/)
})

test('before the books are open there is progress all the same', () => {
  const frame = { snapshot: undefined, tally: newTally(10), perSecond: 0 }
  expect(renderFrame(frame).join('\n')).toContain('0/10 calls')
  expect(renderLine(frame)).toContain('0/10 calls')
})

test.each([
  [0, 0],
  [0.5, 10],
  [1, 20],
  [7, 20],
  [-1, 0],
])('a bar of %d has %d full cells of 20', (share, full) => {
  expect(bar(share)).toBe('█'.repeat(full) + '░'.repeat(20 - full))
})
