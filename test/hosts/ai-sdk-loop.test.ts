import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type { LanguageModelV4 } from '@ai-sdk/provider'
import { openManciple } from '@manciple/core'
import type { Manciple } from '@manciple/core'
import { budgeted, budgetMiddleware, mancipleRouter } from '@manciple/router-plugin/ai-sdk'
import { generateText, isStepCount, jsonSchema, Output, streamText, tool, wrapLanguageModel } from 'ai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mockModel } from './ai-sdk-mocks.ts'
import { startToolProvider } from './tool-provider.ts'

const POLICY = `budgets: { daily_limit_usd: 5.00 }
backends:
  claude: { models: [claude-sonnet-4-20250514] }
  gpt: { models: [gpt-4.1] }
  local: { kind: local, models: ["llama3.1:8b"] }
`

let provider: Awaited<ReturnType<typeof startToolProvider>>
let manciple: Manciple

beforeEach(async () => {
  provider = await startToolProvider()
  manciple = await openManciple({ config: { text: POLICY }, ledger: 'memory' })
})
afterEach(async () => {
  await manciple.close()
  await provider.close()
})

function modelOf(over: string): LanguageModelV4 {
  if (over === 'anthropic') return createAnthropic({ baseURL: `${provider.url}/v1`, apiKey: 'fake' })('claude-sonnet-4-20250514')
  return createOpenAICompatible({ name: 'claude', baseURL: `${provider.url}/v1`, apiKey: 'fake', includeUsage: true, supportsStructuredOutputs: true })(
    'claude-sonnet-4-20250514',
  )
}

const tools = {
  price_of: tool({
    description: 'The price of goods',
    inputSchema: jsonSchema<{ item: string }>({ type: 'object', properties: { item: { type: 'string' } }, required: ['item'] }),
    execute: async () => ({ pence: 2 }),
  }),
}

/** In nano-USD at 3 USD a million tokens in, 15 out, 0.30 for what was cached and 3.75 for what is cached. */
const LOOP_COST = {
  'openai-compatible': 60 * 3000 + 9 * 15_000 + (30 * 3000 + 50 * 300) + 12 * 15_000,
  anthropic: 60 * 3000 + 9 * 15_000 + (20 * 3000 + 50 * 300 + 10 * 3750) + 12 * 15_000,
}

describe.each(['openai-compatible', 'anthropic'] as const)('over %s', (over) => {
  const wraps: Record<string, () => LanguageModelV4> = {
    budgeted: () => budgeted(modelOf(over), { manciple, backend: 'claude' }),
    mancipleRouter: () =>
      mancipleRouter({ manciple, backends: { claude: modelOf(over), gpt: modelOf(over), local: modelOf(over) }, task: { backend: 'claude' } }),
    budgetMiddleware: () => wrapLanguageModel({ model: modelOf(over), middleware: budgetMiddleware({ manciple, backend: 'claude' }) }),
  }

  test.each(Object.keys(wraps))('%s bills each step of a tool loop, cached and reasoning tokens at their price', async (wrap) => {
    const { text, steps } = await generateText({ model: wraps[wrap]!(), prompt: 'What is bread?', tools, stopWhen: isStepCount(5), maxOutputTokens: 400 })
    expect(text).toBe('{"pence":2}')
    expect(steps.map(({ providerMetadata }) => providerMetadata?.['manciple'])).toEqual(
      [1, 2].map(() =>
        expect.objectContaining({ backend: 'claude', model: 'claude-sonnet-4-20250514', verdict: 'dispatch', degraded: false, maxOutputTokens: 400 }),
      ),
    )
    expect(manciple.costs().today).toMatchObject({ requests: 2, costNano: LOOP_COST[over] })
    expect(provider.requests.map(({ max_tokens }) => max_tokens)).toEqual([400, 400])
  })

  test.each(Object.keys(wraps))('%s streams a tool loop and bills each step once', async (wrap) => {
    const result = streamText({ model: wraps[wrap]!(), prompt: 'What is bread?', tools, stopWhen: isStepCount(5) })
    let text = ''
    for await (const part of result.fullStream) if (part.type === 'text-delta') text += part.text
    expect(text).toBe('{"pence":2}')
    expect((await result.steps).map(({ providerMetadata }) => providerMetadata?.['manciple'])).toMatchObject([{ verdict: 'dispatch' }, { verdict: 'dispatch' }])
    expect(manciple.costs().today).toMatchObject({ requests: 2, costNano: LOOP_COST[over] })
    // The policy's own limit, where the caller gives none.
    expect(provider.requests.map(({ max_tokens }) => max_tokens)).toEqual([8192, 8192])
  })

  test('structured output comes through, its schema counted in the hold', async () => {
    const schema = jsonSchema<{ pence: number }>({ type: 'object', properties: { pence: { type: 'number', description: 'x'.repeat(4000) } } })
    const holds: number[] = []
    const model = mancipleRouter({
      manciple: { decide: (request) => (holds.push(request.inputTokens), manciple.decide(request)) },
      backends: { claude: modelOf(over) },
    })
    await generateText({ model, prompt: 'What is bread?', tools, stopWhen: isStepCount(5), output: Output.object({ schema }) }).catch(() => undefined)
    expect(holds[0]).toBeGreaterThan(4000)
  })
})

test('structured output is parsed from what the routed model wrote', async () => {
  const model = budgeted(modelOf('openai-compatible'), { manciple, backend: 'claude' })
  const { output } = await generateText({
    model,
    messages: [
      { role: 'user', content: 'What is bread?' },
      { role: 'assistant', content: [{ type: 'tool-call', toolCallId: 'call_1', toolName: 'price_of', input: { item: 'bread' } }] },
      { role: 'tool', content: [{ type: 'tool-result', toolCallId: 'call_1', toolName: 'price_of', output: { type: 'text', value: '2' } }] },
    ],
    output: Output.object({ schema: jsonSchema<{ pence: number }>({ type: 'object', properties: { pence: { type: 'number' } } }) }),
  })
  expect(output).toEqual({ pence: 2 })
})

describe('a thinking budget, which Anthropic’s provider adds to the output', () => {
  const thinking = { type: 'enabled', budgetTokens: 2000 } as const

  test('is held, and the sum is what the provider may write', async () => {
    const model = budgeted(modelOf('anthropic'), { manciple, backend: 'claude' })
    const { providerMetadata } = await generateText({ model, prompt: 'Think.', maxOutputTokens: 500, providerOptions: { anthropic: { thinking } } })
    expect(provider.requests[0]).toMatchObject({ max_tokens: 2500, thinking: { budget_tokens: 2000 } })
    expect(providerMetadata?.['manciple']).toMatchObject({ maxOutputTokens: 2500, degraded: false })
  })

  test('leaves the answer what is held beside it, where the call sets no limit or the limits cut it', async () => {
    const model = budgeted(modelOf('anthropic'), { manciple, backend: 'claude' })
    const request = { model, prompt: 'Think.', providerOptions: { anthropic: { thinking } } }
    await generateText(request)
    expect(provider.requests[0]).toMatchObject({ max_tokens: 10_192 })
    await manciple.close()
    manciple = await openManciple({ config: { text: POLICY.replace('5.00', '0.05') }, ledger: 'memory' })
    const { providerMetadata } = await generateText({ ...request, model: budgeted(modelOf('anthropic'), { manciple, backend: 'claude' }) })
    const sent = provider.requests[1]?.max_tokens ?? 0
    expect(sent).toBeLessThan(3500)
    expect(providerMetadata?.['manciple']).toMatchObject({ maxOutputTokens: sent, degraded: true })
  })

  test('is held for Claude on Bedrock as well', async () => {
    const bedrock = mockModel('anthropic.claude-sonnet-4-20250514-v1:0', undefined, 'amazon-bedrock')
    const model = budgeted(bedrock, { manciple, backend: 'claude', model: 'claude-sonnet-4-20250514' })
    const providerOptions = { bedrock: { reasoningConfig: thinking } }
    const { providerMetadata } = await generateText({ model, prompt: 'Think.', maxOutputTokens: 500, providerOptions })
    expect([bedrock.doGenerateCalls[0]?.maxOutputTokens, providerMetadata?.['manciple']]).toEqual([500, expect.objectContaining({ maxOutputTokens: 2500 })])
  })

  test('is made explicit where the call asks for a level of reasoning, so that the hold covers it', async () => {
    const model = budgeted(modelOf('anthropic'), { manciple, backend: 'claude' })
    const { providerMetadata } = await generateText({ model, prompt: 'Think.', maxOutputTokens: 5000, reasoning: 'high' })
    expect(provider.requests[0]).toMatchObject({ max_tokens: 8000, thinking: { type: 'enabled', budget_tokens: 3000 } })
    expect(providerMetadata?.['manciple']).toMatchObject({ maxOutputTokens: 8000 })
  })

  test('is not cut: when the rest of the limit does not hold it, the call is refused', async () => {
    await manciple.close()
    manciple = await openManciple({ config: { text: POLICY.replace('5.00', '0.03') }, ledger: 'memory' })
    const model = budgeted(modelOf('anthropic'), { manciple, backend: 'claude' })
    const call = generateText({ model, prompt: 'Think.', maxOutputTokens: 500, providerOptions: { anthropic: { thinking } } })
    await expect(call).rejects.toMatchObject({ code: 'BUDGET_REFUSED' })
    expect(provider.requests).toEqual([])
  })
})
