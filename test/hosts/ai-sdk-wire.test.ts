import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogle } from '@ai-sdk/google'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type { LanguageModelV4, LanguageModelV4CallOptions, SharedV4ProviderOptions } from '@ai-sdk/provider'
import { openManciple } from '@manciple/core'
import type { Manciple } from '@manciple/core'
import { budgeted } from '@manciple/router-plugin/ai-sdk'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const CLAUDES = [
  'claude-3-haiku-20240307',
  'claude-3-7-sonnet-20250219',
  'claude-sonnet-4-0',
  'claude-sonnet-4-20250514',
  'claude-opus-4-20250514',
  'claude-opus-4-1',
  'claude-opus-4-1-20250805',
  'claude-haiku-4-5',
  'claude-sonnet-4-5',
  'claude-sonnet-4-5-20250929',
  'claude-opus-4-5-20251101',
  'claude-sonnet-4-6',
  'claude-opus-4-6',
  'claude-opus-4-7',
  'claude-opus-4-8',
  'claude-sonnet-5',
  'claude-sonnet-5-5',
  'claude-opus-5-5',
  'claude-haiku-5-5',
  'claude-fable-5',
  'claude-of-tomorrow',
]
const GEMINIS = ['gemini-2.0-flash', 'gemini-2.5-flash', 'gemini-2.5-pro', 'gemini-3-pro-preview']
const OTHERS = ['gpt-4.1', 'kimi-k2']
const MODELS = [...CLAUDES, ...GEMINIS, ...OTHERS]

const POLICY = `budgets: { daily_limit_usd: 0.60 }
backends:
  cloud: { provider: openai, models: [${MODELS.join(', ')}] }
prices:
${MODELS.map((model) => `  ${model}: { input_mtok: 3, output_mtok: 15 }`).join('\n')}
`

let manciple: Manciple
const silent = globalThis.AI_SDK_LOG_WARNINGS
beforeAll(async () => {
  globalThis.AI_SDK_LOG_WARNINGS = false
  manciple = await openManciple({ config: { text: POLICY }, ledger: 'memory' })
})
afterAll(async () => {
  globalThis.AI_SDK_LOG_WARNINGS = silent
  await manciple.close()
})

/** Turned away, so that nothing is billed: what matters is what was sent. */
function sending(sent: string[]): typeof fetch {
  return async (_, init) => {
    sent.push(String(init?.body))
    return new Response('{"error":{"message":"no"}}', { status: 400, headers: { 'content-type': 'application/json' } })
  }
}

function modelOf(name: string, fetch: typeof globalThis.fetch): LanguageModelV4 {
  if (CLAUDES.includes(name)) return createAnthropic({ apiKey: 'fake', fetch })(name)
  if (GEMINIS.includes(name)) return createGoogle({ apiKey: 'fake', fetch })(name)
  return createOpenAICompatible({ name: 'other', baseURL: 'http://127.0.0.1:9/v1', fetch })(name)
}

const budgetTokens = fc.option(fc.integer({ min: 1024, max: 30_000 }), { nil: undefined })
const thinking = fc.oneof(
  fc.record({ type: fc.constant('enabled'), budgetTokens }),
  fc.record({ type: fc.constant('adaptive') }),
  fc.record({ type: fc.constant('disabled') }),
)
const anthropic = fc.record({ thinking, effort: fc.constantFrom('low', 'medium', 'high') }, { requiredKeys: [] })
const google = fc.record({ thinkingConfig: fc.record({ thinkingBudget: fc.integer({ min: 0, max: 20_000 }) }) }, { requiredKeys: [] })
const options: fc.Arbitrary<Partial<LanguageModelV4CallOptions>> = fc.record(
  {
    maxOutputTokens: fc.integer({ min: 1, max: 60_000 }),
    reasoning: fc.constantFrom('provider-default', 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'),
    providerOptions: fc.record({ anthropic, google }, { requiredKeys: [] }) as fc.Arbitrary<SharedV4ProviderOptions>,
    responseFormat: fc.constantFrom({ type: 'text' as const }, { type: 'json' as const, schema: { type: 'object' as const } }),
  },
  { requiredKeys: [] },
)

describe('what reaches the provider', () => {
  test.each(MODELS)('never lets %s write more than is held, whatever thinking is asked for', async (name) => {
    await fc.assert(
      fc.asyncProperty(options, fc.boolean(), async (given, stream) => {
        const sent: string[] = []
        const held: number[] = []
        const watched: Pick<Manciple, 'decide'> = {
          async decide(request) {
            const dispatch = await manciple.decide(request)
            held.push(dispatch.decision.maxOutputTokens)
            return dispatch
          },
        }
        const model = budgeted(modelOf(name, sending(sent)), { manciple: watched, backend: 'cloud', model: name })
        const call = { prompt: [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Hi' }] }], ...given }
        await (stream ? model.doStream(call) : model.doGenerate(call)).then(
          () => expect.unreachable(),
          () => undefined,
        )
        const limits = sent.map((body) => Number(/"(?:max_tokens|maxOutputTokens)":(\d+)/.exec(body)?.[1]))
        // Nothing is sent where nothing is held: a call whose thinking does not fit the budget is refused.
        expect(limits.length).toBeLessThanOrEqual(1)
        for (const limit of limits) expect(limit).toBeLessThanOrEqual(held[0] ?? 0)
        for (const limit of limits) expect(limit).toBeGreaterThanOrEqual(1)
      }),
      { numRuns: 40 },
    )
  })
})
