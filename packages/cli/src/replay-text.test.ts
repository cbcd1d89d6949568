import type { ReplayReport, ReplayWindow } from '@manciple/core'
import { expect, test } from 'vitest'
import { comparisonText, replayText } from './replay-text.ts'
import { terminalOf } from './terminal.ts'

const terminal = terminalOf({ stdout: { write: () => {} }, stderr: { write: () => {} }, env: {}, isTTY: false, columns: undefined })

const day = (date: number): string => new Date(Date.UTC(2026, 3, date)).toISOString()

function window(backend: string, from: number, to: number, quantity: number, settled: number, partial = false): ReplayWindow {
  return {
    limit: `${backend}.quota`,
    quota_of: backend,
    from: day(from),
    to: day(to),
    partial,
    unit: 'usd',
    quantity,
    settled,
    utilization: settled / quantity,
    wasted_usd: quantity - settled,
    overshoot: 0,
  }
}

/** A month of one quota by the month and one by the week. */
const REPORT: ReplayReport = {
  policy: '0123456789ab',
  timezone: 'UTC',
  from: day(1),
  to: '2026-04-30T23:58:00.000Z',
  calls: 91_501,
  elapsed_ms: 2_591_880_000,
  spent_usd: 366.7,
  spent_by_backend: { claude: 195.5, gpt: 171.2, local: 0 },
  served_by_backend: { claude: 20_000, gpt: 70_000, local: 1_500 },
  utilization: { total: 0.9648, claude: 0.9775, gpt: 0.9511 },
  wasted_usd: { total: 13.3, claude: 4.5, gpt: 8.8 },
  overshoot_usd: 0,
  dry_share: 0.0311,
  local_share: 0.0164,
  refused: 1,
  rerouted: 12,
  shortened: 3,
  value: 0.9544,
  not_in_policy: { 'backend grok': 7 },
  left_out: { 'calls that were refused': 2 },
  notes: ['2 calls wrote 100 tokens to caches for an hour; they are priced as for five minutes, which is less.'],
  alerts: [
    {
      time: '2026-04-14T23:18:34.391Z',
      kind: 'limit-near',
      scope: 'claude.quota',
      severity: 'warning',
      text: 'claude.quota: 80% is spent: $160.02 of $200.00 spent (80%), resets 2026-05-01 00:00',
    },
  ],
  windows: [window('gpt', -1, 6, 45, 30, true), window('gpt', 6, 13, 45, 44.7), window('gpt', 13, 20, 45, 45), window('claude', 1, 31, 200, 195.5)],
  rules: [
    { rule: 'pacing', refused: 0, rerouted: 18_456, local: 490, spent_usd: 147.2313 },
    { rule: 'claude.quota', refused: 1, rerouted: 15, local: 1_010, spent_usd: 0.3363 },
  ],
  course: [
    {
      backend: 'gpt',
      at: Array.from({ length: 30 }, (_, index) => day(index + 1)),
      utilization: Array.from({ length: 30 }, (_, index) => Math.min(1, ((index + 2) % 7) * 0.18)),
      elapsed: Array.from({ length: 30 }, (_, index) => ((index + 2) % 7) / 7),
    },
  ],
}

test('a report is one page to read', async () => {
  await expect(replayText(REPORT, terminal)).toMatchFileSnapshot('replay-text.report.txt')
})

test('nothing that happened is said as such', () => {
  const text = replayText({ ...REPORT, rules: [], alerts: [], windows: [], course: [], left_out: {}, notes: [], not_in_policy: {} }, terminal)
  expect(text).toContain('Every call went to its first choice.')
  expect(text).toContain('No notice was raised.')
})

test('no line is wider than the terminal', () => {
  const lines = replayText(REPORT, terminal).split('\n')
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
})

test('of two policies, a rule that met more calls at the same cost says so', () => {
  const rule = { rule: 'all.day', refused: 96, rerouted: 0, local: 0, spent_usd: 0 }
  const difference = {
    spent_usd: 0,
    spent_by_backend: {},
    utilization: 0,
    wasted_usd: 0,
    overshoot_usd: 0,
    dry_share: 0,
    local_share: 0,
    refused: 0,
    rerouted: 0,
    value: 0,
  }
  const text = comparisonText({ before: REPORT, after: REPORT, difference, rules: [{ rule: rule.rule, before: null, after: rule }] }, terminal)
  const row = text.split('\n').find((line) => line.startsWith(rule.rule))
  expect(row?.trim().split(/ {2,}/)).toEqual(['all.day', '0', '$0.00', '96', '$0.00', '+96', '='])
})
