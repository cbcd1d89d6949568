import { setImmediate as turn } from 'node:timers/promises'
import { APICallError, LoadAPIKeyError } from '@ai-sdk/provider'
import type { LanguageModelV4StreamPart } from '@ai-sdk/provider'
import { openManciple } from '@manciple/core'
import type { LedgerEntry, Manciple } from '@manciple/core'
import { PluginError } from '@manciple/router-plugin'
import { budgeted, BudgetRefusedError, mancipleRouter } from '@manciple/router-plugin/ai-sdk'
import type { MancipleRouterOptions, TaskOptions } from '@manciple/router-plugin/ai-sdk'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import { MockLanguageModelV3, MockLanguageModelV4 } from 'ai/test'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failingModel, mockModel, streamParts, USAGE } from './ai-sdk-mocks.ts'

const SONNET = 'claude-sonnet-4-20250514'
const LLAMA = 'llama3.1:8b'

const POLICY = `budgets: { daily_limit_usd: 5.00 }
backends:
  claude: { models: [${SONNET}, claude-opus-4-8] }
  gpt: { models: [gpt-4.1] }
  local: { kind: local, models: ["${LLAMA}"] }
limits:
  - { name: spent, amount: 0.20/day, task_type: spent }
preferences:
  homely: { local: 1, claude: 0.4, gpt: 0.5 }
`
const WITHOUT_LOCAL = POLICY.replace(/ {2}local:.*\n/, '').replace('local: 1, ', '')

let open: Manciple
let entries: LedgerEntry[]
let decided: number
let releases: string[]
let faults: unknown[]

async function reopen(policy: string): Promise<void> {
  await open?.close()
  open = await openManciple({ config: { text: policy }, ledger: 'memory' })
  const spender = await open.decide({ backend: 'claude', taskType: 'spent', inputTokens: 900, maxOutputTokens: 13_100 })
  await spender.settle({ inputTokens: 900, outputTokens: 13_100 })
}

/** Calls are billed behind the answer: what is in the books once the turn is over. */
async function booked(): Promise<readonly LedgerEntry[]> {
  await turn()
  return entries
}

beforeEach(async () => {
  await reopen(POLICY)
  entries = []
  decided = 0
  releases = []
  faults = []
})
afterEach(() => open.close())

/** Keeps what becomes of each dispatch. */
const manciple: MancipleRouterOptions['manciple'] = {
  async decide(request) {
    decided += 1
    const dispatch = await open.decide(request)
    return {
      decision: dispatch.decision,
      settle: async (outcome) => {
        const entry = await dispatch.settle(outcome)
        entries.push(entry)
        return entry
      },
      release: async (reason) => {
        releases.push(reason)
        await dispatch.release(reason)
      },
      [Symbol.asyncDispose]: () => dispatch[Symbol.asyncDispose](),
    }
  },
}

function routerOf(options: Partial<MancipleRouterOptions> = {}): ReturnType<typeof mancipleRouter> {
  const backends = { claude: mockModel(SONNET), gpt: mockModel('gpt-4.1'), local: mockModel(LLAMA) }
  return mancipleRouter({ manciple, backends, onFault: (error) => void faults.push(error), ...options })
}

async function ask(model: ReturnType<typeof routerOf>, task: TaskOptions = {}, more: object = {}): Promise<Awaited<ReturnType<typeof generateText>>> {
  return generateText({ model, prompt: 'What does a manciple buy?', maxRetries: 2, providerOptions: { manciple: { ...task } as never }, ...more })
}

function told(result: { readonly providerMetadata?: unknown }): unknown {
  return (result.providerMetadata as Record<string, unknown> | undefined)?.['manciple']
}

const tools = { price: tool({ description: 'A price', inputSchema: jsonSchema({ type: 'object', properties: {} }) }) }
const overloaded = new APICallError({ message: 'overloaded', url: 'http://x', requestBodyValues: {}, statusCode: 529 })

describe('a decision', () => {
  test('sends the call to the backend that it names, and the metadata say so', async () => {
    const result = await ask(routerOf(), { backend: 'gpt', taskId: 'a', taskType: 'chat' })
    expect(result.text).toBe('gpt-4.1')
    expect(told(result)).toEqual({
      backend: 'gpt',
      model: 'gpt-4.1',
      verdict: 'dispatch',
      degraded: false,
      reasons: ['as requested'],
      hold: (await booked())[0]?.id,
      heldNano: expect.any(Number),
      maxOutputTokens: 8192,
      policy: expect.any(String),
    })
    expect(await booked()).toMatchObject([
      { backend: 'gpt', task_id: 'a', task_type: 'chat', usage_source: 'reported', prompt_tokens: 100, completion_tokens: 20 },
    ])
  })

  test('for a model that the router does not have asks for one that it has, and keeps its reasons', async () => {
    const result = await ask(routerOf({ backends: { claude: mockModel('claude-opus-4-8'), gpt: mockModel('gpt-4.1-mini') } }))
    expect(result.text).toBe('claude-opus-4-8')
    expect(told(result)).toMatchObject({ backend: 'claude', model: 'claude-opus-4-8', reasons: [expect.stringContaining('best score')] })
    expect(releases).toEqual(['the router has no such model'])
    expect(await booked()).toMatchObject([{ model: 'claude-opus-4-8' }])
  })

  test('that lowers the output is forced onto the model and told', async () => {
    await reopen(POLICY.replace('5.00', '0.212'))
    const claude = mockModel(SONNET)
    const result = await ask(routerOf({ backends: { claude } }), {}, { maxOutputTokens: 5000 })
    const sent = claude.doGenerateCalls[0]?.maxOutputTokens ?? 0
    expect(sent).toBeLessThan(1000)
    expect(told(result)).toMatchObject({ maxOutputTokens: sent, degraded: true })
  })

  test('facts that hold for all calls come from the router, and a call goes before them', async () => {
    const model = routerOf({ task: { backend: 'claude', taskType: 'chat', tags: ['a'] } })
    await ask(model)
    await ask(model, { taskType: 'code', backend: 'gpt' })
    expect(await booked()).toMatchObject([
      { backend: 'claude', task_type: 'chat' },
      { backend: 'gpt', task_type: 'code' },
    ])
  })

  test('what is meant for Manciple does not reach the provider', async () => {
    const claude = mockModel(SONNET)
    await ask(routerOf({ backends: { claude } }), { taskId: 'secret' }, { providerOptions: { manciple: { taskId: 'secret' }, anthropic: { effort: 'low' } } })
    expect(claude.doGenerateCalls[0]?.providerOptions).toEqual({ anthropic: { effort: 'low' } })
  })
})

describe('an exhausted budget', () => {
  test('sends the call to the local model, which costs nothing, and says that it was degraded and until when', async () => {
    const result = await ask(routerOf(), { backend: 'claude', taskType: 'spent' })
    expect(result.text).toBe(LLAMA)
    expect(told(result)).toMatchObject({ backend: 'local', verdict: 'reroute', degraded: true, resetsAt: expect.stringMatching(/T00:00:00/) })
    expect(await booked()).toMatchObject([{ backend: 'local', cost_usd: 0 }])
  })

  test('is seen where nothing was asked for as well', async () => {
    expect(told(await ask(routerOf(), { taskType: 'spent' }))).toMatchObject({ backend: 'local', degraded: true })
  })

  test('without a local model is a typed error with reasons and reset, which the SDK does not try again', async () => {
    const model = routerOf({ backends: { claude: mockModel(SONNET) } })
    const error = await ask(model, { taskType: 'spent' }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(BudgetRefusedError)
    expect(error).toMatchObject({ code: 'BUDGET_REFUSED', status: 429, resetsAt: expect.any(Date) })
    expect((error as BudgetRefusedError).reasons).toEqual([
      expect.stringContaining('spent has $'),
      expect.stringContaining('opus'),
      'the router has no local model',
    ])
    expect([decided, await booked()]).toEqual([1, []])
  })

  test('under a policy without a local backend is refused the same way, streamed too', async () => {
    await reopen(WITHOUT_LOCAL)
    const model = routerOf({ backends: { claude: mockModel(SONNET) } })
    await expect(ask(model, { taskType: 'spent' })).rejects.toMatchObject({ code: 'BUDGET_REFUSED', resetsAt: expect.any(Date) })
    await expect(model.doStream({ prompt: [], providerOptions: { manciple: { taskType: 'spent' } } })).rejects.toBeInstanceOf(BudgetRefusedError)
    expect(decided).toBe(2)
  })

  test('never blocks a call that asks for the local model', async () => {
    expect((await ask(routerOf(), { backend: 'local', taskType: 'spent' })).text).toBe(LLAMA)
  })
})

describe('a local model that can do less', () => {
  const abilities = { local: { tools: false, maxOutputTokens: 512 } }

  test('is asked for no more output than it writes', async () => {
    const local = mockModel(LLAMA)
    const result = await ask(routerOf({ backends: { claude: mockModel(SONNET), local }, abilities }), { taskType: 'spent' }, { maxOutputTokens: 3000 })
    expect(local.doGenerateCalls[0]?.maxOutputTokens).toBe(512)
    expect(told(result)).toMatchObject({ maxOutputTokens: 512, degraded: true })
  })

  test('is a stated error where the request brings tools and the cloud has no room', async () => {
    const error = await ask(routerOf({ abilities }), { taskType: 'spent' }, { tools }).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'REROUTE_IMPOSSIBLE', message: expect.stringContaining('local cannot call tools, and the request brings some') })
    expect([await booked(), releases.length]).toEqual([[], 1])
  })

  test('leaves a request with tools to the best of the cloud, where there is room', async () => {
    expect((await ask(routerOf({ abilities }), { taskType: 'homely' })).text).toBe(LLAMA)
    expect((await ask(routerOf({ abilities }), { taskType: 'homely' }, { tools })).text).toBe('gpt-4.1')
    expect((await ask(routerOf({ abilities }), { taskType: 'homely' }, { tools, toolChoice: 'none' })).text).toBe(LLAMA)
  })

  test('is told of beside the cloud models that cannot either, where the policy has nobody else', async () => {
    await reopen(WITHOUT_LOCAL)
    const model = routerOf({
      backends: { claude: mockModel(SONNET), gpt: mockModel('gpt-4.1') },
      abilities: { claude: { tools: false }, gpt: { tools: false } },
    })
    const error = await ask(model, {}, { tools }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(BudgetRefusedError)
    expect(error).toMatchObject({ code: 'REROUTE_IMPOSSIBLE', message: expect.stringContaining('claude, gpt cannot call tools') })
  })

  test('a cloud model without tools is no candidate for a request that brings some', async () => {
    const model = routerOf({ abilities: { claude: { tools: false } } })
    expect((await ask(model, { backend: 'claude' }, { tools })).text).toBe('gpt-4.1')
    expect((await ask(model, { backend: 'claude' })).text).toBe(SONNET)
  })
})

describe('a provider that fails', () => {
  test('before its first token is left for the next decision, and the metadata say that it failed', async () => {
    const backends = { claude: failingModel(SONNET, overloaded), gpt: mockModel('gpt-4.1'), local: mockModel(LLAMA) }
    const result = await ask(routerOf({ backends }), { backend: 'claude' })
    expect(result.text).toBe('gpt-4.1')
    expect(told(result)).toMatchObject({ backend: 'gpt', degraded: true, reasons: expect.arrayContaining(['claude failed']) })
    expect(await booked()).toMatchObject([{ backend: 'gpt' }])
    expect(releases).toEqual(['the provider failed: AI_APICallError'])
  })

  test('by a part of its stream before any token is left as well, and no part of it is seen', async () => {
    const claude = new MockLanguageModelV4({
      modelId: SONNET,
      doStream: async () => ({
        stream: streamOf([
          { type: 'stream-start', warnings: [] },
          { type: 'error', error: { message: 'overloaded' } },
        ]),
      }),
    })
    const result = streamText({ model: routerOf({ backends: { claude, gpt: mockModel('gpt-4.1') }, task: { backend: 'claude' } }), prompt: 'Hi' })
    expect(await result.text).toBe('gpt-4.1')
    expect(releases).toEqual(['the provider failed: an error in its stream'])
  })

  test('by a connection that breaks before any token, once it has begun to answer, is billed by its hold and left', async () => {
    const broken = Object.assign(new TypeError('terminated'), { cause: Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }) })
    const stream = new ReadableStream<LanguageModelV4StreamPart>({ pull: (to) => to.error(broken) })
    const claude = new MockLanguageModelV4({ modelId: SONNET, doStream: async () => ({ stream }) })
    const result = streamText({ model: routerOf({ backends: { claude, gpt: mockModel('gpt-4.1') }, task: { backend: 'claude' } }), prompt: 'Hi' })
    expect(await result.text).toBe('gpt-4.1')
    expect(await booked()).toMatchObject([{ status: 'cut', usage_source: 'hold' }, { backend: 'gpt' }])
  })

  test('alone keeps its own error, so that the SDK may try it again', async () => {
    const model = routerOf({ backends: { claude: failingModel(SONNET, overloaded) } })
    await expect(ask(model, {}, { maxRetries: 0 })).rejects.toBe(overloaded)
    expect([decided, releases.length, await booked()]).toEqual([1, 1, []])
  })

  test('because the request is at fault is not left for another', async () => {
    const bad = new APICallError({ message: 'bad', url: 'http://x', requestBodyValues: {}, statusCode: 400 })
    const gpt = mockModel('gpt-4.1')
    await expect(ask(routerOf({ backends: { claude: failingModel(SONNET, bad), gpt } }), { backend: 'claude' })).rejects.toBe(bad)
    expect([gpt.doGenerateCalls, releases.length]).toEqual([[], 1])
  })

  test('before it has sent anything, as without a key, is not billed', async () => {
    const keyless = new LoadAPIKeyError({ message: 'no key' })
    await expect(ask(routerOf({ backends: { claude: failingModel(SONNET, keyless) } }))).rejects.toBe(keyless)
    expect([releases.length, await booked()]).toEqual([1, []])
  })

  test('in a way that nobody knows is billed by its hold', async () => {
    await expect(ask(routerOf({ backends: { claude: failingModel(SONNET, new Error('?')) } }))).rejects.toThrow('?')
    expect(await booked()).toMatchObject([{ status: 'error', usage_source: 'hold' }])
  })

  test('when free is never replaced by a paid one without a decision', async () => {
    const claude = mockModel(SONNET)
    const local = failingModel(LLAMA, overloaded)
    await expect(ask(routerOf({ backends: { local, claude } }), { backend: 'local' }, { maxRetries: 0 })).rejects.toBe(overloaded)
    await expect(ask(routerOf({ backends: { local, claude } }), { taskType: 'spent' }, { maxRetries: 0 })).rejects.toBe(overloaded)
    expect(claude.doGenerateCalls).toEqual([])
  })
})

describe('budgeted', () => {
  test('never goes to another paid model; its fallback takes what it may not', async () => {
    const fallback = mockModel('qwen3:4b')
    const model = budgeted(mockModel(SONNET), { manciple, backend: 'claude', fallback })
    expect((await ask(model)).text).toBe(SONNET)
    const result = await ask(model, { taskType: 'spent' })
    expect(result.text).toBe('qwen3:4b')
    expect(told(result)).toMatchObject({ backend: 'local', model: 'qwen3:4b', verdict: 'reroute', degraded: true, resetsAt: expect.any(String) })
    expect(await booked()).toMatchObject([{ backend: 'claude' }, { backend: 'local', model: 'qwen3:4b', cost_usd: 0 }])
  })

  test('goes to its fallback when its provider fails as well', async () => {
    const model = budgeted(failingModel(SONNET, overloaded), {
      manciple,
      backend: 'claude',
      fallback: mockModel(LLAMA),
      fallbackAbilities: { maxOutputTokens: 99 },
    })
    const result = await ask(model)
    expect(result.text).toBe(LLAMA)
    expect(told(result)).toMatchObject({ degraded: true, maxOutputTokens: 99, reasons: expect.arrayContaining(['claude failed']) })
  })

  test('draws on the budget of the policy’s model where it is given one', async () => {
    const model = budgeted(mockModel('my-deployment'), { manciple, backend: 'claude', model: SONNET })
    expect((await ask(model)).text).toBe('my-deployment')
    expect(await booked()).toMatchObject([{ backend: 'claude', model: SONNET }])
  })

  test('says what it is', () => {
    const model = budgeted(mockModel(SONNET), { manciple, backend: 'claude' })
    expect([model.specificationVersion, model.provider, model.modelId]).toEqual(['v4', 'mock', SONNET])
  })
})

describe('usage', () => {
  test('that is missing, or the zeros that a provider makes of it, is billed by the bounds of what came', async () => {
    const nothing = { inputTokens: { ...USAGE.inputTokens, total: undefined }, outputTokens: { ...USAGE.outputTokens, total: undefined } }
    const zeros = { inputTokens: { ...USAGE.inputTokens, total: 0 }, outputTokens: { ...USAGE.outputTokens, total: 0 } }
    for (const usage of [nothing, zeros]) await ask(routerOf({ backends: { claude: mockModel(SONNET, usage) } }))
    expect(await booked()).toMatchObject([1, 2].map(() => ({ usage_source: 'partial', completion_tokens: SONNET.length })))
    expect((await booked()).every(({ cost_usd }) => cost_usd > 0)).toBe(true)
  })

  test('that is missing of a model that reasons unseen is billed by the hold', async () => {
    const nothing = { inputTokens: { ...USAGE.inputTokens, total: undefined }, outputTokens: { ...USAGE.outputTokens, total: undefined } }
    const model = routerOf({ backends: { claude: mockModel(SONNET, nothing) } })
    await ask(model, {}, { reasoning: 'high' })
    await ask(model, {}, { providerOptions: { openai: { reasoningEffort: 'high' } } })
    await ask(model, {}, { reasoning: 'none' })
    expect((await booked()).map(({ usage_source }) => usage_source)).toEqual(['hold', 'hold', 'partial'])
  })

  test('of caches and reasoning is kept apart', async () => {
    const usage = { inputTokens: { total: 100, noCache: 30, cacheRead: 60, cacheWrite: 10 }, outputTokens: { total: 20, text: 5, reasoning: 15 } }
    await ask(routerOf({ backends: { claude: mockModel(SONNET, usage) } }))
    expect(await booked()).toMatchObject([{ prompt_tokens: 100, cache_read_tokens: 60, cache_write_tokens: 10, reasoning_tokens: 15 }])
  })
})

describe('a stream', () => {
  test('passes each part when it is read, no sooner and no later, and ends with the decision', async () => {
    const source = Promise.withResolvers<ReadableStreamDefaultController<LanguageModelV4StreamPart>>()
    const stream = new ReadableStream<LanguageModelV4StreamPart>({ start: source.resolve }, { highWaterMark: 0 })
    const claude = new MockLanguageModelV4({ modelId: SONNET, doStream: async () => ({ stream }) })
    const parts = streamParts(['a', 'b'])
    const controller = await source.promise
    for (const part of parts.slice(0, 2)) controller.enqueue(part)
    const { stream: metered } = await routerOf({ backends: { claude } }).doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    const reader = metered.getReader()
    expect([await reader.read(), await reader.read()].map(({ value }) => value)).toEqual(parts.slice(0, 2))
    for (const part of parts.slice(2, -1)) {
      controller.enqueue(part)
      expect((await reader.read()).value).toBe(part)
    }
    expect(await booked()).toEqual([])
    controller.enqueue(parts.at(-1)!)
    expect((await reader.read()).value).toMatchObject({ type: 'finish', usage: USAGE, providerMetadata: { manciple: { backend: 'claude' } } })
    expect(await booked()).toMatchObject([{ status: 'ok', usage_source: 'reported' }])
  })

  test('is read no faster than whoever reads it', async () => {
    let pulled = 0
    const source = new ReadableStream<LanguageModelV4StreamPart>(
      { pull: (to) => to.enqueue({ type: 'text-delta', id: 't', delta: `${pulled++}` }) },
      { highWaterMark: 0 },
    )
    const claude = new MockLanguageModelV4({ modelId: SONNET, doStream: async () => ({ stream: source }) })
    const { stream } = await routerOf({ backends: { claude } }).doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    const reader = stream.getReader()
    for (let part = 1; part <= 3; part++) {
      await reader.read()
      await turn()
      expect(pulled).toBe(part)
    }
    await reader.cancel()
  })

  test('that is cancelled cancels its source and bills what has come', async () => {
    let cancelled: unknown
    const endless = new ReadableStream<LanguageModelV4StreamPart>({
      start(controller) {
        for (const part of streamParts(['bread']).slice(0, 3)) controller.enqueue(part)
      },
      cancel(reason) {
        cancelled = reason
      },
    })
    const model = routerOf({ backends: { claude: new MockLanguageModelV4({ modelId: SONNET, doStream: async () => ({ stream: endless }) }) } })
    const { stream } = await model.doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    const reader = stream.getReader()
    for (let part = 0; part < 3; part++) await reader.read()
    await reader.cancel('enough')
    expect(cancelled).toBe('enough')
    expect(await booked()).toMatchObject([{ status: 'aborted', usage_source: 'partial', completion_tokens: 5 }])
  })

  test('left open when the model is disposed of is billed by what has come, once', async () => {
    const endless = new ReadableStream<LanguageModelV4StreamPart>({
      start(controller) {
        for (const part of streamParts(['bread']).slice(0, 3)) controller.enqueue(part)
      },
    })
    {
      await using model = routerOf({ backends: { claude: new MockLanguageModelV4({ modelId: SONNET, doStream: async () => ({ stream: endless }) }) } })
      const { stream } = await model.doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
      const reader = stream.getReader()
      for (let part = 0; part < 3; part++) await reader.read()
      expect(await booked()).toEqual([])
    }
    expect(await booked()).toMatchObject([{ status: 'cut', usage_source: 'partial', completion_tokens: 5 }])
    await open.close()
    expect(await booked()).toHaveLength(1)
  })

  test('counts the input of a tool once, whether it comes in pieces, whole, or both', async () => {
    const call = { type: 'tool-call', toolCallId: 'c', toolName: 'price', input: '{"a":1}' } as const
    const pieces: LanguageModelV4StreamPart[] = [
      { type: 'tool-input-start', id: 'c', toolName: 'price' },
      { type: 'tool-input-delta', id: 'c', delta: '{"a":' },
      { type: 'tool-input-delta', id: 'c', delta: '1}' },
      { type: 'tool-input-end', id: 'c' },
    ]
    for (const parts of [[call], [...pieces, call], pieces]) {
      const claude = new MockLanguageModelV4({ modelId: SONNET, doStream: async () => ({ stream: streamOf(parts) }) })
      const { stream } = await routerOf({ backends: { claude } }).doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
      for await (const _ of stream) continue
    }
    expect((await booked()).map(({ status, completion_tokens }) => [status, completion_tokens])).toEqual([1, 2, 3].map(() => ['cut', 7]))
  })
})

describe('an abort', () => {
  test('before the call decides nothing', async () => {
    await expect(routerOf().doGenerate({ prompt: [], abortSignal: AbortSignal.abort() })).rejects.toThrow('abort')
    expect(decided).toBe(0)
  })

  test('while the decision is made releases it', async () => {
    const leaving = new AbortController()
    const leaves: MancipleRouterOptions['manciple'] = {
      decide: (request) => {
        leaving.abort()
        return manciple.decide(request)
      },
    }
    await expect(routerOf({ manciple: leaves }).doGenerate({ prompt: [], abortSignal: leaving.signal })).rejects.toThrow('abort')
    expect([releases, await booked()]).toEqual([['the caller went away before the call'], []])
  })
})

describe('input that bytes do not bound', () => {
  const image = { type: 'file', mediaType: 'image/png', data: { type: 'url', url: new URL('https://example.org/a.png') } } as const
  const text = { type: 'text', text: 'Hi' } as const
  const user = (...content: (typeof image | typeof text)[]): never => [{ role: 'user', content }] as never

  test.each([
    ['a file', { prompt: user(text, image) }, 'prompt[0] holds a file (image/png)'],
    ['a hosted tool', { prompt: user(text), tools: [{ type: 'provider', id: 'x.search', name: 'search', args: {} }] }, 'the tool search is the provider'],
    [
      'a stored conversation',
      { prompt: user(text), providerOptions: { openai: { previousResponseId: 'r' } } },
      'providerOptions.openai.previousResponseId adds',
    ],
    [
      'a file in the result of a tool',
      { prompt: [{ role: 'tool', content: [{ type: 'tool-result', toolCallId: 'c', toolName: 'look', output: { type: 'content', value: [image] } }] }] },
      'prompt[0] holds a file in the result of look',
    ],
  ])('%s is a stated error, and goes with a bound of the caller’s own', async (_, options, found) => {
    await expect(routerOf().doGenerate(options as never)).rejects.toMatchObject({ code: 'INPUT_UNBOUNDED', message: expect.stringContaining(found) })
    expect(decided).toBe(0)
    const { providerOptions } = options as { providerOptions?: object }
    await routerOf().doGenerate({ ...options, providerOptions: { ...providerOptions, manciple: { inputTokens: 5000 } } } as never)
    expect(await booked()).toHaveLength(1)
  })

  test('a text file is bounded', async () => {
    const file = { type: 'file', mediaType: 'text/plain', data: { type: 'text', text: 'bread' } }
    await routerOf().doGenerate({ prompt: [{ role: 'user', content: [file] }] } as never)
    expect(await booked()).toHaveLength(1)
  })
})

describe('what is wrong is said', () => {
  test.each([
    [{ backend: 'mistral' }, 'manciple.backend: there is no backend "mistral"; this router has claude, gpt, local.'],
    [{ model: 'gpt-9' }, `manciple.model: there is no model "gpt-9"; there are ${SONNET}, gpt-4.1, ${LLAMA}.`],
    [{ taskTyp: 'chat' }, 'Unrecognized key: "taskTyp"'],
    [{ inputTokens: -1 }, 'providerOptions.manciple.inputTokens: '],
    [{ pinned: true }, 'pinned: needs a `backend` to stay with'],
  ])('of the task %j', async (task, found) => {
    await expect(ask(routerOf(), task as TaskOptions)).rejects.toMatchObject({ code: 'REQUEST_INVALID', message: expect.stringContaining(found) })
  })

  test.each([
    [{ backends: {} }, 'backends: expected at least one backend'],
    [{ backends: { claude: {} } }, 'backends.claude: expected at least one model'],
    [{ backends: { claude: 'anthropic/claude' as never } }, 'backends.claude: expected a language model of the AI SDK'],
    [
      { backends: { claude: { ...mockModel(SONNET), specificationVersion: 'v2', doGenerate: () => {}, doStream: () => {} } as never } },
      'backends.claude: expected a model of provider spec v4 or v3; found v2',
    ],
    [{ abilities: { mistral: {} } }, 'abilities.mistral: `backends` has claude, gpt, local'],
    [{ abilities: { local: { maxOutputTokens: 0 } } }, 'abilities.local.maxOutputTokens: expected a whole number'],
    [{ manciple: {} as never }, 'manciple: expected what `openManciple` gives'],
    [{ callTimeoutMs: 2 ** 31 }, 'callTimeoutMs: expected a whole number of ms'],
    [{ task: { taskTyp: 'chat' } as never }, 'Unrecognized key: "taskTyp"'],
  ])('of the options %#', (options, found) => {
    expect(() => routerOf(options)).toThrow(expect.objectContaining({ code: 'PLUGIN_CONFIG_INVALID', message: expect.stringContaining(found) }))
  })

  test('of a backend that the policy does not have', async () => {
    const model = routerOf({ backends: { mistral: mockModel('m') } })
    await expect(ask(model)).rejects.toMatchObject({ code: 'PLUGIN_CONFIG_INVALID', message: expect.stringContaining('mistral') })
  })

  test('of Manciple itself: no call goes out unchecked', async () => {
    const claude = mockModel(SONNET)
    const broken = new Error('broken')
    const model = routerOf({ manciple: { decide: () => Promise.reject(broken) }, backends: { claude } })
    await expect(ask(model)).rejects.toBeInstanceOf(PluginError)
    expect([faults, claude.doGenerateCalls]).toEqual([[broken], []])
  })
})

describe('a model of provider spec v3', () => {
  const STOP = { unified: 'stop', raw: 'stop' } as const
  const file = { type: 'file', mediaType: 'image/png', data: 'AAAA' } as const
  const v3 = new MockLanguageModelV3({
    modelId: SONNET,
    doGenerate: async () => ({ content: [{ type: 'text', text: 'three' }, file], finishReason: STOP, usage: USAGE, warnings: [] }),
    doStream: async () => ({
      stream: streamOf([file, { type: 'finish', finishReason: STOP, usage: USAGE }]) as never,
    }),
  })

  test('answers, streams and is billed', async () => {
    expect((await ask(routerOf({ backends: { claude: v3 } }))).text).toBe('three')
    const { stream } = await routerOf({ backends: { claude: v3 } }).doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    const parts: unknown[] = []
    for await (const part of stream) parts.push(part)
    expect(parts[0]).toEqual({ ...file, data: { type: 'data', data: 'AAAA' } })
    expect(await booked()).toMatchObject([{ usage_source: 'reported' }, { usage_source: 'reported' }])
  })

  test('is sent files as v3 writes them', async () => {
    const model = budgeted(v3, { manciple, backend: 'claude' })
    const url = new URL('https://example.org/a.png')
    const part = (data: unknown): object => ({ type: 'file', mediaType: 'image/png', data })
    const result = (data: unknown): object => ({ type: 'tool-result', toolCallId: 'c', toolName: 't', output: { type: 'content', value: [part(data)] } })
    await model.doGenerate({
      prompt: [
        { role: 'system', content: 's' },
        { role: 'user', content: [part({ type: 'url', url }), part({ type: 'data', data: 'AAAA' }), part({ type: 'text', text: 'hi' })] },
        {
          role: 'tool',
          content: [
            { type: 'url', url },
            { type: 'data', data: new Uint8Array(3) },
            { type: 'reference', reference: { x: 'f' } },
          ].map(result),
        },
      ],
      providerOptions: { manciple: { inputTokens: 5000 } },
    } as never)
    const [, user, toolMessage] = v3.doGenerateCalls.at(-1)!.prompt
    expect((user!.content as { data: unknown }[]).map(({ data }) => data)).toEqual([url, 'AAAA', 'aGk='])
    const outputs = (toolMessage!.content as unknown as { output: { value: unknown[] } }[]).flatMap(({ output }) => output.value)
    expect(outputs).toEqual([
      { type: 'file-url', url: url.href },
      { type: 'file-data', data: 'AAAA', mediaType: 'image/png' },
      { type: 'file-id', fileId: { x: 'f' } },
    ])
  })

  test('leaves what v3 has no word for to another model, or says so', async () => {
    const prompt = [{ role: 'assistant', content: [{ type: 'custom', kind: 'x.y' }] }] as never
    await expect(budgeted(v3, { manciple, backend: 'claude' }).doGenerate({ prompt })).rejects.toThrow(
      'A model of provider spec v3 takes no part of type custom',
    )
    expect(releases).toHaveLength(1)
    const { content } = await routerOf({ backends: { claude: v3, gpt: mockModel('gpt-4.1') }, task: { backend: 'claude' } }).doGenerate({ prompt })
    expect(content).toEqual([{ type: 'text', text: 'gpt-4.1' }])
  })
})

function streamOf(parts: readonly unknown[]): ReadableStream<LanguageModelV4StreamPart> {
  return ReadableStream.from(parts) as ReadableStream<LanguageModelV4StreamPart>
}
