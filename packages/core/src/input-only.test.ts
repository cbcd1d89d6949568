import { afterEach, beforeEach, expect, test } from 'vitest'
import { openManciple, type Manciple } from './manciple.ts'

// Embedding models, which the price list has with a price for input alone.

const EMBED = { backend: 'gpt', model: 'text-embedding-3-small', inputTokens: 1_000_000 } as const
let manciple: Manciple

beforeEach(async () => {
  const text = 'budgets: { daily_limit_usd: 0.05 }\nbackends: { gpt: { models: [text-embedding-3-small] } }\n'
  manciple = await openManciple({ config: { text }, ledger: 'memory', onError: () => {} })
})
afterEach(() => manciple.close())

test('a call that writes nothing is held and billed at the price of its input, up to the limit', async () => {
  for (const spentNano of [20_000_000, 40_000_000]) {
    const dispatch = await manciple.decide({ ...EMBED, maxOutputTokens: 0 })
    expect(dispatch.decision).toMatchObject({ verdict: 'dispatch', maxOutputTokens: 0, estimateNano: 20_000_000 })
    await dispatch.settle({ inputTokens: 1_000_000, outputTokens: 0 })
    expect(manciple.costs().today.costNano).toBe(spentNano)
  }
  const refused = await manciple.decide({ ...EMBED, maxOutputTokens: 0 })
  expect(refused.decision).toMatchObject({ verdict: 'refuse', candidates: [{ out: 'no-room' }] })
})

test.each([undefined, 1, 8192])('a call that may write %s tokens has no price', async (maxOutputTokens) => {
  const { decision } = await manciple.decide({ ...EMBED, ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }) })
  expect(decision).toMatchObject({ verdict: 'refuse', candidates: [{ out: 'price-unknown' }] })
})

test('an output that has no price is refused by the books, and the dispatch can still be settled by its hold', async () => {
  const dispatch = await manciple.decide({ ...EMBED, maxOutputTokens: 0 })
  await expect(dispatch.settle({ inputTokens: 10, outputTokens: 5 })).rejects.toMatchObject({ code: 'USAGE_INVALID' })
  expect(await dispatch.settle({ status: 'ok' })).toMatchObject({ cost_usd: 0.02, usage_source: 'hold', prompt_tokens: 1_000_000, completion_tokens: 0 })
})
