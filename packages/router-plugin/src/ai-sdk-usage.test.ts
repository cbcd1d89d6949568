import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutputMeter, outputBytes, usageOfAiSdk } from './ai-sdk-usage.ts'

const count = fc.oneof(fc.nat(1000), fc.constant(undefined), fc.constantFrom(-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY))
const reported: fc.Arbitrary<LanguageModelV4Usage> = fc.record({
  inputTokens: fc.record({ total: count, noCache: count, cacheRead: count, cacheWrite: count }),
  outputTokens: fc.record({ total: count, text: count, reasoning: count }),
})

test('a usage is whole, with its parts within their sums, or it is none', () => {
  fc.assert(
    fc.property(reported, (raw) => {
      const usage = usageOfAiSdk(raw)
      if (usage === undefined) return
      const { inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0, reasoningTokens = 0 } = usage
      for (const tokens of [inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens]) expect(tokens).toBeGreaterThanOrEqual(0)
      expect([inputTokens, outputTokens]).toEqual([raw.inputTokens.total, raw.outputTokens.total])
      expect(cacheReadTokens + cacheWriteTokens).toBeLessThanOrEqual(inputTokens)
      expect(reasoningTokens).toBeLessThanOrEqual(outputTokens)
    }),
  )
})

const piece = fc.constantFrom('', 'a', 'bread', 'Käse', '🍞')
const part: fc.Arbitrary<LanguageModelV4StreamPart> = fc.oneof(
  fc.record({ type: fc.constantFrom('text-delta' as const, 'reasoning-delta' as const), id: fc.constant('t'), delta: piece }),
  fc.record({ type: fc.constant('tool-input-delta' as const), id: fc.constantFrom('a', 'b'), delta: piece }),
  fc.constantFrom<LanguageModelV4StreamPart>({ type: 'text-start', id: 't' }, { type: 'ping' }, { type: 'raw', rawValue: 'x' }, { type: 'error', error: 'x' }),
)

test('a stream is worth the bytes of its deltas, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const meter = new OutputMeter()
      const bytes = parts.reduce((sum, one) => sum + (meter.read(one) ?? 0), 0)
      expect(bytes).toBe(Buffer.byteLength(parts.map((one) => ('delta' in one ? one.delta : '')).join('')))
    }),
  )
})

test('the input that Anthropic tells first is known, cached input in it, and is no output', () => {
  const meter = new OutputMeter()
  const usage = { input_tokens: 20, cache_read_input_tokens: 50, cache_creation_input_tokens: null }
  expect(meter.read({ type: 'custom', kind: 'anthropic.message_start', providerMetadata: { anthropic: { usage } } })).toBeUndefined()
  expect(meter.toldInput).toEqual({ inputTokens: 70, outputTokens: 0, cacheReadTokens: 50, cacheWriteTokens: 0 })
})

test.each([undefined, null, 'x', {}, { input_tokens: 'x' }, { input_tokens: -1 }])('a first usage of %j tells nothing', (usage) => {
  const meter = new OutputMeter()
  meter.read({ type: 'custom', kind: 'anthropic.message_start', providerMetadata: { anthropic: { usage: usage as never } } })
  expect(meter.toldInput).toBeUndefined()
})

test('a whole answer is worth its text, its reasoning and the input of its tools', () => {
  expect(
    outputBytes([
      { type: 'text', text: 'Käse' },
      { type: 'reasoning', text: 'ab' },
      { type: 'tool-call', toolCallId: 'c', toolName: 't', input: '{}' },
      { type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } },
    ]),
  ).toBe(9)
})
