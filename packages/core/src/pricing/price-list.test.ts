import { calcPrice, updatePrices, type ConditionalPrice, type ModelPrice } from '@pydantic/genai-prices'
import { beforeAll, expect, test } from 'vitest'
import { createPriceBook, type KnownPrice } from './price-book.ts'

// What the list does not have today, and may have tomorrow.

const NIGHT: ConditionalPrice[] = [
  { prices: { input_mtok: 2, output_mtok: 2 } },
  { constraint: { type: 'time_of_date', start_time: '22:00:00Z', end_time: '06:00:00Z' }, prices: { input_mtok: 1, output_mtok: 1 } },
]
const ABROAD: ConditionalPrice[] = [
  { prices: { input_mtok: 2, output_mtok: 2 } },
  { constraint: { type: 'time_of_date', start_time: '01:00:00+02:00', end_time: '09:00:00.5+02:00' }, prices: { input_mtok: 1, output_mtok: 1 } },
]
const NOT_YET: ConditionalPrice[] = [
  { constraint: { type: 'start_date', start_date: '2026-05-31' }, prices: { input_mtok: 1, output_mtok: 1 } },
  { constraint: { type: 'start_date', start_date: '2026-06-01' }, prices: { input_mtok: 2, output_mtok: 2 } },
]
const WITHDRAWN: ConditionalPrice[] = [
  { prices: { input_mtok: 1, output_mtok: 1 } },
  { constraint: { type: 'start_date', start_date: '2026-06-01' }, prices: { input_mtok: -1, output_mtok: -1 } },
]
const UNSORTED: ModelPrice = {
  input_mtok: {
    base: 1,
    tiers: [
      { start: 2000, price: 3 },
      { start: 1000, price: 2 },
    ],
  },
  output_mtok: 1,
}

const MODELS = { night: NIGHT, abroad: ABROAD, 'not-yet': NOT_YET, withdrawn: WITHDRAWN, unsorted: UNSORTED }

beforeAll(() => {
  const models = Object.entries(MODELS).map(([id, prices]) => ({ id, match: { equals: id }, prices }))
  updatePrices(({ setProviderData }) => setProviderData([{ id: 'acme', name: 'Acme', api_pattern: 'acme', models }]))
})

const book = createPriceBook(new Map())

function at(model: string, time: string) {
  return book.price({ name: 'acme', kind: 'cloud', provider: 'acme' }, model, Date.parse(time))
}

function known(model: string, time: string): KnownPrice {
  const price = at(model, time)
  if (price.kind === 'unknown') throw new Error('the price is unknown')
  return price
}

const TIMES = ['22:00', '06:00', '23:00', '07:00', '00:00', '12:00'].flatMap((time) => {
  const ms = Date.parse(`2026-05-31T${time}:00.000Z`)
  return [-86_400_000, 0, 86_400_000].flatMap((day) => [-1, 0, 1, 499, 500, 501].map((offset) => new Date(ms + day + offset).toISOString()))
})

test.each(['night', 'abroad', 'not-yet'])('%s: times over midnight, in another zone and before all dates are those of genai-prices', (model) => {
  for (const time of TIMES) {
    const theirs = calcPrice({ input_tokens: 1000 }, model, { providerId: 'acme', timestamp: new Date(time) })
    expect(known(model, time).costNano({ inputTokens: 1000, outputTokens: 0 }), time).toBe(Math.round((theirs?.total_price ?? NaN) * 1e9))
  }
})

test('a price over midnight holds on both sides of it', () => {
  const prices = ['2026-05-31T21:59:59.999Z', '2026-05-31T22:00:00Z', '2026-06-01T00:00:00Z', '2026-06-01T05:59:59.999Z', '2026-06-01T06:00:00Z']
  expect(prices.map((time) => known('night', time).costNano({ inputTokens: 1, outputTokens: 0 }))).toEqual([2000, 1000, 1000, 1000, 2000])
})

test('tiers in any order take all of the tokens', () => {
  const costs = [1000, 1001, 2000, 2001].map((inputTokens) => known('unsorted', '2026-05-01T00:00:00Z').costNano({ inputTokens, outputTokens: 0 }))
  expect(costs).toEqual([1000 * 1000, 1001 * 2000, 2000 * 2000, 2001 * 3000])
})

test('a dated price that is no price makes the price unknown from then on', () => {
  expect(at('withdrawn', '2026-05-31T23:59:59.999Z').kind).toBe('priced')
  expect(at('withdrawn', '2026-06-01T00:00:00Z').kind).toBe('unknown')
})
