import { rmSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import { adjustment, DAY_MS, held, importOrder, limit, order, policy, settlement, START_MS } from '../../../../test/contract/ledger-samples.ts'
import { firstSegment, newFolder, openLedger } from '../../../../test/faults/support.ts'
import type { Ledger } from './ledger.ts'

const YEAR = policy([limit({ name: 'year', quantity: 100_000_000, window: { kind: 'year' } }), limit({ name: 'day' })], { version: 'v2', text: 'v2' })
/** Longer ago than a policy of one day keeps totals for. */
const LATER_MS = START_MS + 39 * DAY_MS

/** A ledger that has forgotten the totals of its first day, on which a call was billed and another one imported. */
async function forgetful(folder: string, warnings: string[] = []): Promise<Ledger> {
  const ledger = await openLedger(folder, { segmentBytes: 2_000, onWarning: (text) => warnings.push(text) })
  await ledger.usePolicy(policy(), START_MS)
  for (let call = 0; call < 5; call += 1) ledger.settle(held(ledger.reserve(order())).id, settlement({ costNano: 1_000_000 }))
  ledger.import(importOrder())
  ledger.settle(held(ledger.reserve(order({ atMs: LATER_MS }))).id, settlement({ costNano: 2_000_000 }))
  await ledger.flush()
  expect(ledger.wholeSinceMs).toBeGreaterThan(START_MS)
  expect(ledger.spend(0, START_MS + DAY_MS)).toEqual([])
  return ledger
}

it('reads older spend from the journal when a policy counts from before the totals are whole, with those limits closed until then', async () => {
  const warnings: string[] = []
  const ledger = await forgetful(newFolder(), warnings)
  // Of a time whose other totals are forgotten.
  ledger.adjust(adjustment({ atMs: LATER_MS, spentMs: START_MS, costNano: 4_000_000, promptTokens: 0 }))
  await ledger.usePolicy(YEAR, LATER_MS)
  expect(ledger.reserve(order({ atMs: LATER_MS, estimate: { costNano: 1, tokens: 1, requests: 1 } }))).toEqual({ ok: false, limits: ['year'] })
  // What comes in meanwhile, also of the past, counts once.
  const late = { atMs: LATER_MS, spentMs: START_MS, costNano: 3_000_000, promptTokens: 0 }
  ledger.adjust(adjustment(late))
  const { revision } = ledger
  await vi.waitFor(() => expect(ledger.wholeSinceMs).toBe(0))
  expect(ledger.revision).toBeGreaterThan(revision)
  expect(ledger.meters.map(({ settled }) => settled)).toEqual([5_000_000 + 16_500_000 + 2_000_000 + 4_000_000 + 3_000_000, 2_000_000])
  expect(ledger.audit()).toEqual([])
  expect(ledger.import(importOrder({ atMs: LATER_MS }))).toBeUndefined()
  expect(ledger.reserve(order({ atMs: LATER_MS, estimate: { costNano: 69_500_001, tokens: 1, requests: 1 } }))).toEqual({ ok: false, limits: ['year'] })
  expect(ledger.reserve(order({ atMs: LATER_MS, estimate: { costNano: 69_500_000, tokens: 1, requests: 1 } })).ok).toBe(true)
  expect(warnings).toEqual([expect.stringContaining('older spend is being read from the journal')])
})

it('goes on where a process died before it was done', async () => {
  const folder = newFolder()
  const first = await forgetful(folder)
  await first.usePolicy(YEAR, LATER_MS)
  first.closeSync()
  const ledger = await openLedger(folder, { segmentBytes: 2_000 })
  await ledger.usePolicy(YEAR, LATER_MS)
  await vi.waitFor(() => expect(ledger.meters[0]?.settled).toBe(23_500_000))
})

it('keeps those limits closed, and says why, where the journal cannot be read', async () => {
  const warnings: string[] = []
  const folder = newFolder()
  const ledger = await forgetful(folder, warnings)
  rmSync(firstSegment(folder))
  await ledger.usePolicy(YEAR, LATER_MS)
  await vi.waitFor(() => expect(warnings).toHaveLength(2))
  expect(warnings[1]).toMatch(/could not be read, and the limits that count it stay closed.*is missing/)
  expect(ledger.reserve(order({ atMs: LATER_MS }))).toEqual({ ok: false, limits: ['year'] })
})
