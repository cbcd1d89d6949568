import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { boundInputTokens, estimate } from './estimate.ts'
import { createPriceBook, type KnownPrice } from './price-book.ts'

const book = createPriceBook(new Map([['local-ish', 'free']]))

function known(provider: string, model: string): KnownPrice {
  const price = book.price({ name: provider, kind: 'cloud', provider }, model, Date.UTC(2026, 10, 1))
  if (price.kind === 'unknown') throw new Error('the price is unknown')
  return price
}

const SONNET = known('anthropic', 'claude-sonnet-4-20250514')

describe('an estimate', () => {
  test('takes all input for the dearest kind of input', () => {
    expect(estimate(SONNET, { inputTokens: 1500, maxOutputTokens: 800, n: 1 })).toEqual({ costNano: 17_625_000, tokens: 2300, requests: 1 })
  })

  test('counts the input once and the output for every answer', () => {
    expect(estimate(SONNET, { inputTokens: 1500, maxOutputTokens: 800, n: 3 })).toEqual({ costNano: 1500 * 3750 + 2400 * 15_000, tokens: 3900, requests: 1 })
  })

  test('of a free call still has its tokens', () => {
    expect(estimate(known('acme', 'local-ish'), { inputTokens: 5, maxOutputTokens: 7, n: 2 })).toEqual({ costNano: 0, tokens: 19, requests: 1 })
  })

  test('is at least the cost and the tokens of what its answers use together', () => {
    const tiered = [known('anthropic', 'claude-sonnet-4-5'), known('openai', 'gpt-5.5'), known('google', 'gemini-2.5-pro')]
    const prices = [SONNET, ...tiered, known('perplexity', 'sonar-deep-research')]
    const size = fc.record({
      inputTokens: fc.integer({ min: 0, max: 400_000 }),
      maxOutputTokens: fc.integer({ min: 1, max: 64_000 }),
      n: fc.integer({ min: 1, max: 5 }),
    })
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(fc.constantFrom(...prices), size, fc.array(share, { minLength: 9, maxLength: 9 }), (price, call, shares) => {
        const [input = 0, read = 0, write = 0, reasoning = 0, ...answers] = shares
        const part = (of: number, tokens: number) => Math.floor(of * tokens)
        const inputTokens = part(input, call.inputTokens)
        const outputTokens = answers.slice(0, call.n).reduce((sum, answer) => sum + part(answer, call.maxOutputTokens), 0)
        const cacheReadTokens = part(read, inputTokens)
        const cacheWriteTokens = part(write, inputTokens - cacheReadTokens)
        const usage = { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens: part(reasoning, outputTokens) }
        const most = estimate(price, call)
        expect(most.costNano).toBeGreaterThanOrEqual(price.costNano(usage))
        expect(most.tokens).toBeGreaterThanOrEqual(inputTokens + outputTokens)
      }),
      { numRuns: 3000 },
    )
  })

  test.each([NaN, Infinity, 1.5, 2 ** 53])('refuses a call with %s input tokens', (inputTokens) => {
    expect(() => estimate(SONNET, { inputTokens, maxOutputTokens: 1, n: 1 })).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  })

  test('refuses more answers than can be counted', () => {
    expect(() => estimate(SONNET, { inputTokens: 0, maxOutputTokens: 1e9, n: 1e9 })).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  })
})

test('a prompt has at most a token a byte, and the framing of its messages and of the request', () => {
  expect(boundInputTokens(0, 0)).toBe(1024)
  expect(boundInputTokens(Buffer.byteLength('héllo'), 2)).toBe(6 + 16 + 1024)
})
