import fc from 'fast-check'
import type * as genaiPrices from '@pydantic/genai-prices'
import { calcPrice, findProvider, type ConditionalPrice } from '@pydantic/genai-prices'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createPriceBook, isPriced, type KnownPrice, type Price, type PriceOverride } from './price-book.ts'

vi.mock('@pydantic/genai-prices', async (load) => {
  const real = await load<typeof genaiPrices>()
  return { ...real, calcPrice: vi.fn<typeof real.calcPrice>(real.calcPrice) }
})
beforeEach(() => {
  vi.mocked(calcPrice).mockClear()
})

const AT_MS = Date.UTC(2026, 10, 1, 12)
const LIST = createPriceBook(new Map())
const HUNDRED_THOUSAND = { inputTokens: 100_000, outputTokens: 100_000 }

function cloud(provider: string | undefined) {
  return { name: 'any', kind: 'cloud', provider } as const
}

function known(price: Price): KnownPrice {
  if (price.kind === 'unknown') throw new Error('the price is unknown')
  return price
}

function overridden(model: string, override: PriceOverride) {
  return createPriceBook(new Map([[model, override]]))
}

test('claude-sonnet-4-20250514 with 1500+800 tokens costs 0.0165 USD', () => {
  const price = known(LIST.price(cloud('anthropic'), 'claude-sonnet-4-20250514', AT_MS))
  expect(price).toMatchObject({ kind: 'priced', source: 'list' })
  expect(price.costNano({ inputTokens: 1500, outputTokens: 800 })).toBe(16_500_000)
})

test('cache reads and writes have prices of their own, or that of the input', () => {
  const cached = { inputTokens: 1000, outputTokens: 0, cacheReadTokens: 300, cacheWriteTokens: 200 }
  expect(known(LIST.price(cloud('anthropic'), 'claude-sonnet-4-20250514', AT_MS)).costNano(cached)).toBe(500 * 3000 + 300 * 300 + 200 * 3750)
  expect(known(overridden('m', { inputMtok: 3, outputMtok: 15 }).price(cloud('x'), 'm', AT_MS)).costNano(cached)).toBe(1000 * 3000)
  const own = overridden('m', { inputMtok: 3, outputMtok: 15, cacheReadMtok: 0.3, cacheWriteMtok: 3.75 })
  expect(known(own.price(cloud('x'), 'm', AT_MS)).costNano(cached)).toBe(500 * 3000 + 300 * 300 + 200 * 3750)
})

test('the policy comes before the list, by model, with or without a provider', () => {
  const book = overridden('claude-sonnet-4-20250514', { inputMtok: 3, outputMtok: 3 })
  for (const provider of ['anthropic', undefined]) {
    const price = known(book.price(cloud(provider), 'claude-sonnet-4-20250514', AT_MS))
    expect(price).toMatchObject({ kind: 'priced', source: 'policy' })
    expect(price.costNano({ inputTokens: 1500, outputTokens: 800 })).toBe(6_900_000)
  }
  expect(known(book.price(cloud('anthropic'), 'claude-opus-4-8', AT_MS)).source).toBe('list')
})

test('a model declared free is free', () => {
  const price = known(overridden('my-model', 'free').price(cloud(undefined), 'my-model', AT_MS))
  expect(price).toMatchObject({ kind: 'free', source: 'free' })
  expect(price.costNano(HUNDRED_THOUSAND)).toBe(0)
  expect(price.boundNano(1e9, 1e9)).toBe(0)
  expect(price.outputWithin(0, 1e9, 8192)).toBe(8192)
  expect(price.outputWithin(-1, 0, 8192)).toBe(-1)
})

test('a local backend is free, whatever its model or the policy say', () => {
  const book = overridden('kimi-k2', { inputMtok: 1, outputMtok: 1 })
  for (const model of ['llama3.1:8b', 'kimi-k2']) {
    expect(book.price({ name: 'local', kind: 'local', provider: undefined }, model, AT_MS)).toMatchObject({ kind: 'free', source: 'free' })
  }
})

test.each([
  ['no provider', undefined, 'claude-sonnet-4-20250514'],
  ['an empty provider, where genai-prices would guess by the model', '', 'claude-sonnet-4-20250514'],
  ['a provider that the list does not have', 'acme', 'claude-sonnet-4-20250514'],
  ['a model that the list does not have', 'anthropic', 'gpt-5'],
  ['a name that only looks like a model', 'moonshotai', '__proto__'],
  ['a model that the list has with no price, which genai-prices computes as 0', 'google', 'gemma-3'],
  ['a model that is billed by the hour', 'openai', 'whisper-1'],
])('a price is unknown for %s', (_case, provider, model) => {
  expect(LIST.price(cloud(provider), model, AT_MS)).toEqual({ kind: 'unknown' })
})

test('a model without a price for output is priced for what writes nothing, and its output is never 0', () => {
  const price = LIST.price(cloud('openai'), 'text-embedding-3-small', AT_MS)
  expect([isPriced(price, 0), isPriced(price, 1)]).toEqual([true, false])
  expect(known(price)).toMatchObject({ kind: 'priced', source: 'list', inputOnly: true })
  const { costNano, boundNano, outputWithin } = known(price)
  expect(costNano({ inputTokens: 1_000_000, outputTokens: 0 })).toBe(20_000_000)
  expect(() => costNano({ inputTokens: 1, outputTokens: 1 })).toThrow(/1 output tokens of a model that has a price for its input alone/)
  expect([boundNano(1_000_000, 0), boundNano(1, 1)]).toEqual([20_000_000, Number.MAX_SAFE_INTEGER])
  expect([outputWithin(20_000_000, 1_000_000, 800), outputWithin(19_999_999, 1_000_000, 800)]).toEqual([0, -1])
})

test('every known price with a price for output says what a call costs that may write, and no unknown one does', () => {
  const chat = LIST.price(cloud('anthropic'), 'claude-opus-4-8', AT_MS)
  const unknown = LIST.price(cloud('acme'), 'm', AT_MS)
  expect([isPriced(chat, 0), isPriced(chat, 1), isPriced(unknown, 0)]).toEqual([true, true, false])
})

test('a model is looked up in the list once, known or not', () => {
  const book = createPriceBook(new Map())
  for (const model of ['deepseek-chat', 'nobody-knows']) {
    const first = book.price(cloud('deepseek'), model, AT_MS)
    expect(book.price(cloud('deepseek'), model, AT_MS + 1)).toBe(first)
    for (let hour = 0; hour < 48; hour++) book.price(cloud('deepseek'), model, AT_MS + hour * 3_600_000)
  }
  expect(calcPrice).toHaveBeenCalledTimes(2)
})

test('what is remembered of made-up models has an end', () => {
  const book = createPriceBook(new Map())
  book.price(cloud('anthropic'), 'claude-opus-4-8', AT_MS)
  for (let i = 0; i < 10_000; i++) book.price(cloud('anthropic'), `made-up-${i}`, AT_MS)
  vi.mocked(calcPrice).mockClear()
  book.price(cloud('anthropic'), 'claude-opus-4-8', AT_MS)
  expect(calcPrice).toHaveBeenCalledTimes(1)
})

/** Text models with several prices, under a name by which the list finds them. */
function datedModels(provider: string) {
  return (findProvider({ providerId: provider })?.models ?? []).flatMap(({ id }) => {
    const prices = calcPrice({}, id, { providerId: provider })?.model.prices
    return Array.isArray(prices) && 'input_mtok' in (prices[0]?.prices ?? {}) ? [{ provider, id, prices }] : []
  })
}

const DATED = ['anthropic', 'openai', 'google', 'deepseek', 'mistral', 'openrouter', 'aws'].flatMap(datedModels)

/** Starts of dated prices, and the times of day on the days around them. */
function boundaries(prices: readonly ConditionalPrice[]): number[] {
  const constraints = prices.flatMap(({ constraint }) => constraint ?? [])
  const days = ['2026-03-01', '2026-08-16', '2026-08-17', '2028-02-29']
  return constraints.flatMap((constraint) =>
    constraint.type === 'start_date'
      ? [Date.parse(constraint.start_date)]
      : days.flatMap((day) => [Date.parse(`${day}T${constraint.start_time}`), Date.parse(`${day}T${constraint.end_time}`), Date.parse(`${day}T00:00:00Z`)]),
  )
}

function theirCost(provider: string, model: string, atMs: number): number {
  const found = calcPrice({ input_tokens: 100_000, output_tokens: 100_000 }, model, { providerId: provider, timestamp: new Date(atMs) })
  return Math.round((found?.total_price ?? NaN) * 1e9)
}

describe('dated prices', () => {
  test('are in the list, by date and by time of day', () => {
    expect(DATED.map(({ id }) => id)).toEqual(expect.arrayContaining(['claude-opus-4-6', 'o3', 'gemini-3.6-flash', 'deepseek-chat', 'deepseek-v4-pro']))
  })

  test('take over at their first millisecond, in whatever order calls are asked about', () => {
    for (const { provider, id, prices } of DATED) {
      const times = boundaries(prices).flatMap((ms) => [ms - 1, ms, ms + 1])
      for (const atMs of [...times, ...times.toReversed()]) {
        const price = known(LIST.price(cloud(provider), id, atMs))
        expect(price.costNano(HUNDRED_THOUSAND), `${id} at ${new Date(atMs).toISOString()}`).toBe(theirCost(provider, id, atMs))
      }
    }
  })

  test('are those of genai-prices at any time', () => {
    const anyTime = fc.integer({ min: Date.UTC(1969, 0), max: Date.UTC(2030, 0) })
    fc.assert(
      fc.property(fc.constantFrom(...DATED), fc.array(anyTime, { minLength: 1, maxLength: 5 }), ({ provider, id }, times) => {
        for (const atMs of times) expect(known(LIST.price(cloud(provider), id, atMs)).costNano(HUNDRED_THOUSAND)).toBe(theirCost(provider, id, atMs))
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    ['claude-opus-4-6', 'anthropic', '2026-03-12T23:59:59.999Z', 10 * 300_000],
    ['claude-opus-4-6', 'anthropic', '2026-03-13T00:00:00.000Z', 5 * 300_000],
    ['o3', 'openai', '2025-06-09T23:59:59.999Z', 10 * 300_000],
    ['o3', 'openai', '2025-06-10T00:00:00.000Z', 2 * 300_000],
    ['deepseek-reasoner', 'deepseek', '2026-11-01T00:29:59.999Z', 0.135 * 300_000],
    ['deepseek-reasoner', 'deepseek', '2026-11-01T00:30:00.000Z', 0.55 * 300_000],
    ['deepseek-reasoner', 'deepseek', '2026-11-01T16:29:59.999Z', 0.55 * 300_000],
    ['deepseek-reasoner', 'deepseek', '2026-11-01T16:30:00.000Z', 0.135 * 300_000],
  ])('%s of %s at %s', (model, provider, time, microUsd) => {
    const price = known(LIST.price(cloud(provider), model, Date.parse(time)))
    expect(price.costNano({ inputTokens: 300_000, outputTokens: 0 })).toBe(Math.round(microUsd * 1000))
  })
})
