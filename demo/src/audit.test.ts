import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { auditJournal } from './audit.ts'
import type { AuditedLimit } from './audit.ts'

const folder = mkdtempSync(join(tmpdir(), 'manciple-audit-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const settle = (timestamp: string, backend: string, cost: string): string =>
  `{"type":"settle","timestamp":"${timestamp}","backend":"${backend}","cost_usd":${cost}}\n`

const LIMITS: readonly AuditedLimit[] = [
  { name: 'all.day', quantity: 1_000_000_000, window: 'day', backend: undefined },
  { name: 'claude.month', quantity: 900_000_000, window: 'month', backend: 'claude' },
]

test('entries are added up to the nano, by local day and month, and what is over a limit is found at the entry', async () => {
  const first =
    settle('2026-11-01T03:59:00.000Z', 'claude', '0.400000001') +
    settle('2026-11-01T04:01:00.000Z', 'claude', '5e-7') +
    '{"type":"notice","kind":"limit-near"}\n'
  const second = settle('2026-11-02T04:30:00.000Z', 'claude', '0.5') + settle('2026-11-02T05:30:00.000Z', 'gpt', '0.6')
  writeFileSync(join(folder, 'journal-000001.jsonl'), first)
  writeFileSync(join(folder, 'journal-000002.jsonl'), second)
  const audit = await auditJournal(folder, LIMITS, 'America/New_York')
  expect(audit.calls).toBe(4)
  expect(audit.spend.get('claude')).toEqual({ calls: 3, nano: 900_000_501n })
  // In New York the first entry is of October 31st, the next two are of November 1st, on which the clocks change, and the last is of the 2nd.
  expect(audit.peaks.get('claude.month')).toBe(500_000_500n)
  expect(audit.peaks.get('all.day')).toBe(600_000_000n)
  expect(audit.overshootNano).toBe(0n)
  expect(audit.notices).toEqual(new Map([['limit-near', 1]]))
  const utc = await auditJournal(folder, LIMITS, 'UTC')
  expect(utc.overshootNano).toBe(100_000_000n)
})
