import fc from 'fast-check'
import { calcPrice, findProvider, type ModelPrice } from '@pydantic/genai-prices'
import { describe, expect, test } from 'vitest'
import { MAX_NANO } from '../money.ts'
import { createPrice, type Rates, type Tariff } from './cost.ts'
import { createPriceBook, type KnownPrice, type Price } from './price-book.ts'
import type { Usage } from './usage.ts'

const AT_MS = Date.UTC(2026, 10, 1, 12)
const PROVIDERS = ['anthropic', 'openai', 'google', 'moonshotai']

function known(price: Price): KnownPrice {
  if (price.kind === 'unknown') throw new Error('the price is unknown')
  return price
}

/** The exact cost of a usage as a fraction of nano-USD, written anew: decimal text → fraction, sum of fractions. */
type Fraction = readonly [numerator: bigint, denominator: bigint]

function fraction(amount: number): Fraction {
  const [, whole = '', rest = '', exponent = '0'] = /^(\d+)\.?(\d*)(?:e([+-]\d+))?$/.exec(String(amount)) ?? []
  const power = Number(exponent) - rest.length
  const digits = BigInt(whole + rest)
  return power >= 0 ? [digits * 10n ** BigInt(power), 1n] : [digits, 10n ** BigInt(-power)]
}

function plus([a, b]: Fraction, [c, d]: Fraction): Fraction {
  return [a * d + c * b, b * d]
}

function chosen(tariff: Tariff, inputTokens: number): number {
  if (typeof tariff === 'number') return tariff
  let best = { start: -1, price: tariff.base }
  for (const tier of tariff.tiers) if (inputTokens > tier.start && tier.start >= best.start) best = tier
  return best.price
}

function exactCost(rates: Rates, usage: Required<Usage>): Fraction {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens } = usage
  const parts: readonly (readonly [Tariff, bigint])[] = [
    [rates.cacheRead, BigInt(cacheReadTokens)],
    [rates.cacheWrite, BigInt(cacheWriteTokens)],
    [rates.input, BigInt(inputTokens) - BigInt(cacheReadTokens) - BigInt(cacheWriteTokens)],
    [rates.reasoning, BigInt(reasoningTokens)],
    [rates.output, BigInt(outputTokens) - BigInt(reasoningTokens)],
    [rates.request, 1000n],
  ]
  return parts
    .map(([tariff, count]): Fraction => {
      const [numerator, denominator] = fraction(chosen(tariff, inputTokens))
      return [numerator * count * 1000n, denominator]
    })
    .reduce(plus)
}

const halfUp = ([numerator, denominator]: Fraction): bigint => (2n * numerator + denominator) / (2n * denominator)
const up = ([numerator, denominator]: Fraction): bigint => (numerator + denominator - 1n) / denominator

/** Any usage with at most this input and output. */
function usageWithin(mostInput: number, mostOutput: number): fc.Arbitrary<Required<Usage>> {
  const upTo = (most: number) => fc.oneof(fc.constant(most), fc.integer({ min: 0, max: most }))
  return fc.record({ inputTokens: upTo(mostInput), outputTokens: upTo(mostOutput) }).chain(({ inputTokens, outputTokens }) =>
    upTo(inputTokens).chain((cacheReadTokens) =>
      fc.record({
        inputTokens: fc.constant(inputTokens),
        outputTokens: fc.constant(outputTokens),
        cacheReadTokens: fc.constant(cacheReadTokens),
        cacheWriteTokens: upTo(inputTokens - cacheReadTokens),
        reasoningTokens: upTo(outputTokens),
      }),
    ),
  )
}

/** Around the tiers of the list, and anything up to two million. */
const inputTokens = fc.oneof(fc.constantFrom(0, 1, 128_000, 128_001, 200_000, 200_001, 271_999, 272_000, 272_001), fc.integer({ min: 0, max: 2_000_000 }))
const outputTokens = fc.integer({ min: 0, max: 200_000 })
const call = fc
  .record({ inputTokens, outputTokens })
  .chain((most) =>
    fc.record({ most: fc.constant(most), usage: usageWithin(most.inputTokens, most.outputTokens), nudge: fc.integer({ min: -2000, max: 2000 }) }),
  )

function expectLargestOutput(price: KnownPrice, roomNano: number, input: number, most: number): void {
  const within = price.outputWithin(roomNano, input, most)
  if (within === -1) return expect(price.boundNano(input, 0)).toBeGreaterThan(roomNano)
  expect(within).toBeGreaterThanOrEqual(0)
  expect(within).toBeLessThanOrEqual(most)
  expect(price.boundNano(input, within)).toBeLessThanOrEqual(roomNano)
  if (within < most) expect(price.boundNano(input, within + 1)).toBeGreaterThan(roomNano)
}

function ratesOf(entry: ModelPrice): Rates | undefined {
  const { input_mtok: input, output_mtok: output } = entry
  if (input === undefined || output === undefined) return undefined
  return {
    input,
    output,
    cacheRead: entry['cache_read_mtok'] ?? input,
    cacheWrite: entry['cache_write_mtok'] ?? input,
    reasoning: entry['output_reasoning_mtok'] ?? output,
    request: entry['requests_kcount'] ?? 0,
  }
}

describe.each(PROVIDERS)('every text model of %s', (provider) => {
  const book = createPriceBook(new Map())
  const timestamp = new Date(AT_MS)
  const models = (findProvider({ providerId: provider })?.models ?? []).flatMap(({ id }) => {
    const rates = ratesOf(calcPrice({}, id, { providerId: provider, timestamp })?.model_price ?? {})
    return rates === undefined ? [] : [{ id, rates, price: () => known(book.price({ name: provider, kind: 'cloud', provider }, id, AT_MS)) }]
  })
  const perModel = { numRuns: 60 }

  test('is there', () => {
    expect(models.length).toBeGreaterThan(10)
  })

  test('costs what exact arithmetic says, rounded once', () => {
    for (const { rates, price } of models) {
      fc.assert(
        fc.property(call, ({ usage }) => {
          expect(BigInt(price().costNano(usage))).toBe(halfUp(exactCost(rates, usage)))
        }),
        perModel,
      )
    }
  })

  test('costs what genai-prices computes, within a nano', () => {
    for (const { id, price } of models) {
      fc.assert(
        fc.property(call, ({ usage }) => {
          const theirs = calcPrice(
            {
              input_tokens: usage.inputTokens,
              output_tokens: usage.outputTokens,
              cache_read_tokens: usage.cacheReadTokens,
              cache_write_tokens: usage.cacheWriteTokens,
              output_reasoning_tokens: usage.reasoningTokens,
            },
            id,
            { providerId: provider, timestamp },
          )
          expect(Math.abs(price().costNano(usage) - (theirs?.total_price ?? NaN) * 1e9)).toBeLessThan(1)
        }),
        perModel,
      )
    }
  })

  test('costs no usage more than its bound', () => {
    for (const { price } of models) {
      fc.assert(
        fc.property(call, ({ most, usage }) => {
          expect(price().costNano(usage)).toBeLessThanOrEqual(price().boundNano(most.inputTokens, most.outputTokens))
        }),
        perModel,
      )
    }
  })

  test('has a bound that some usage reaches', () => {
    for (const { rates, price } of models) {
      fc.assert(
        fc.property(call, ({ most }) => {
          const plain = { ...most, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }
          const written = { ...plain, cacheWriteTokens: most.inputTokens }
          const dearest = [plain, written].map((usage) => up(exactCost(rates, usage))).reduce((a, b) => (a > b ? a : b))
          expect(BigInt(price().boundNano(most.inputTokens, most.outputTokens))).toBe(dearest)
        }),
        perModel,
      )
    }
  })

  test('gives the largest output that fits a room', () => {
    for (const { price } of models) {
      fc.assert(
        fc.property(call, ({ most, usage, nudge }) => {
          const room = price().boundNano(most.inputTokens, usage.outputTokens) + nudge
          expectLargestOutput(price(), room, most.inputTokens, most.outputTokens)
        }),
        perModel,
      )
    }
  })
})

describe('any price', () => {
  const amount = fc.oneof(
    fc.constantFrom(0, 3, 0.0028, 0.003625, 0.08333333333333334, 1e-7, 1e21, 0.1 + 0.2),
    fc.double({ min: 0, max: 1000, noNaN: true }),
    fc.integer({ min: 0, max: 100_000 }).map((cents) => cents / 100),
  )
  const tariff: fc.Arbitrary<Tariff> = fc.oneof(
    amount,
    fc.record({ base: amount, tiers: fc.array(fc.record({ start: fc.integer({ min: 0, max: 1000 }), price: amount }), { maxLength: 3 }) }),
  )
  const rates: fc.Arbitrary<Rates> = fc.record({
    input: tariff,
    cacheRead: tariff,
    cacheWrite: tariff,
    output: tariff,
    reasoning: tariff,
    request: fc.oneof(fc.constant(0), tariff),
  })
  const most = fc.oneof(fc.constant(1500), fc.constant(2_000_000), fc.constant(1e12), fc.constant(Number.MAX_SAFE_INTEGER))
  const anyCall = fc
    .tuple(most, most)
    .chain(([input, output]) => fc.record({ input: fc.constant(input), output: fc.constant(output), usage: usageWithin(input, output) }))

  test('costs what exact arithmetic says, or is too dear to count', () => {
    fc.assert(
      fc.property(rates, anyCall, (given, { usage }) => {
        const price = known(createPrice(given, 'list'))
        const exact = halfUp(exactCost(given, usage))
        if (exact > BigInt(MAX_NANO)) expect(() => price.costNano(usage)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }))
        else expect(BigInt(price.costNano(usage))).toBe(exact)
      }),
      { numRuns: 5000 },
    )
  })

  test('costs no usage more than its bound, also where a larger input is cheaper', () => {
    fc.assert(
      fc.property(rates, anyCall, (given, { input, output, usage }) => {
        const bound = known(createPrice(given, 'list')).boundNano(input, output)
        expect(Number.isSafeInteger(bound)).toBe(true)
        if (bound < Number.MAX_SAFE_INTEGER) expect(halfUp(exactCost(given, usage))).toBeLessThanOrEqual(BigInt(bound))
      }),
      { numRuns: 5000 },
    )
  })

  test('has a bound that grows with input and output', () => {
    fc.assert(
      fc.property(rates, anyCall, (given, { input, output, usage }) => {
        const price = known(createPrice(given, 'list'))
        expect(price.boundNano(usage.inputTokens, usage.outputTokens)).toBeLessThanOrEqual(price.boundNano(input, output))
      }),
    )
  })

  test('gives the largest output that fits a room', () => {
    fc.assert(
      fc.property(rates, anyCall, fc.integer({ min: -3, max: 3 }), fc.integer({ min: 0, max: MAX_NANO }), (given, { input, output, usage }, nudge, other) => {
        const price = known(createPrice(given, 'list'))
        expectLargestOutput(price, price.boundNano(usage.inputTokens, usage.outputTokens) + nudge, usage.inputTokens, output)
        expectLargestOutput(price, other, input, output)
      }),
      { numRuns: 5000 },
    )
  })
})

const flat: Rates = { input: 3, cacheRead: 3, cacheWrite: 3, output: 15, reasoning: 15, request: 0 }

test('half a nano is rounded up, less is not', () => {
  const price = known(createPrice({ ...flat, input: 0.0005, output: 0.0004, reasoning: 0.0004 }, 'policy'))
  expect(price.costNano({ inputTokens: 1, outputTokens: 0 })).toBe(1)
  expect(price.costNano({ inputTokens: 0, outputTokens: 1 })).toBe(0)
  expect(price.boundNano(0, 1)).toBe(1)
})

test('a sixteenth decimal counts, beyond what doubles can add', () => {
  const price = known(createPrice({ ...flat, input: 1.0010000000000001, cacheRead: 0, cacheWrite: 0 }, 'policy'))
  expect(price.costNano({ inputTokens: 1, outputTokens: 0 })).toBe(1001)
  expect(price.boundNano(1, 0)).toBe(1002)
  expect(price.outputWithin(1001, 1, 10)).toBe(-1)
  expect(price.outputWithin(1002, 1, 10)).toBe(0)
})

test('a price per request counts once a call', () => {
  const price = known(createPrice({ ...flat, request: 12 }, 'list'))
  expect(price.costNano({ inputTokens: 0, outputTokens: 0 })).toBe(12_000_000)
  expect(price.boundNano(0, 0)).toBe(12_000_000)
  expect(price.outputWithin(11_999_999, 0, 100)).toBe(-1)
  expect(price.outputWithin(12_000_000, 0, 100)).toBe(0)
})

test('output that costs nothing fits wherever the input does', () => {
  const price = known(createPrice({ ...flat, output: 0, reasoning: 0 }, 'policy'))
  expect(price.outputWithin(2999, 1, 100)).toBe(-1)
  expect(price.outputWithin(3000, 1, 100)).toBe(100)
})

test('any output fits where no limit applies', () => {
  expect(known(createPrice(flat, 'list')).outputWithin(Infinity, 1e12, 8192)).toBe(8192)
})

test.each([-1, NaN, Infinity, -0.001])('%s is no price', (amount) => {
  expect(createPrice({ ...flat, cacheRead: amount }, 'list').kind).toBe('unknown')
  expect(createPrice({ ...flat, output: { base: 1, tiers: [{ start: 10, price: amount }] } }, 'list').kind).toBe('unknown')
})
