import type { DecideRequest, Decision, Dispatch, Outcome } from '@manciple/core'
import { MancipleError } from '@manciple/core'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IRequestContext } from '@nullplatform/llm-gateway-sdk'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { MancipleGatewayPlugin } from './llm-gateway.ts'
import type { DecidingManciple } from './plugin.ts'

const MODELS = {
  opus: { backend: 'claude', model: 'claude-opus-4-1' },
  gpt: { backend: 'gpt', model: 'gpt-5' },
  local: { backend: 'local', model: 'llama' },
}

/** What became of one hold: `settled` and `released` count how often. */
interface Fate {
  outcomes: Outcome[]
  released: string[]
}

/** Takes the backend that is named while it is a candidate, else (unless pinned) the first candidate, else local; fails or refuses when told to. */
class FakeManciple implements DecidingManciple {
  readonly requests: DecideRequest[] = []
  readonly fates: Fate[] = []
  closed = 0
  failWith: Error | undefined
  refuse = false

  async decide(request: DecideRequest): Promise<Dispatch> {
    this.requests.push(request)
    if (this.failWith !== undefined) throw this.failWith
    const { backend = '', candidates = [], pinned } = request
    const wanted = candidates.includes(backend) ? backend : pinned ? 'local' : candidates[0]
    const target = Object.values(MODELS).find(({ backend }) => backend === wanted) ?? MODELS.local
    return this.#dispatch(this.refuse ? undefined : target)
  }

  closeSync(): void {
    this.closed += 1
  }

  #dispatch(target: { backend: string; model: string } | undefined): Dispatch {
    const fate: Fate = { outcomes: [], released: [] }
    this.fates.push(fate)
    const decision: Decision = {
      verdict: target === undefined ? 'refuse' : 'dispatch',
      backend: target?.backend,
      model: target?.model,
      maxOutputTokens: 64,
      reasons: ['all.day has no room'],
      hold: target === undefined ? undefined : `hold-${this.fates.length}`,
      estimateNano: 1,
      policy: 'p',
      resetMs: target === undefined ? Date.UTC(2026, 6, 1) : undefined,
      candidates: [],
    }
    return {
      decision,
      settle: async (outcome) => {
        fate.outcomes.push('inputTokens' in outcome ? { usage: outcome } : outcome)
        return Promise.reject(new Error('the fake keeps no entries'))
      },
      release: async (reason) => {
        fate.released.push(reason)
      },
      [Symbol.asyncDispose]: async () => {},
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'manciple-plugin-'))
const policy = join(folder, 'budgets.yaml')
writeFileSync(
  policy,
  `backends:
  claude: { models: [claude-opus-4-1] }
  gpt: { models: [gpt-5] }
  local: { kind: local, models: [llama] }
`,
)
afterAll(() => {
  rmSync(folder, { recursive: true })
})

let ledgers = 0
let fake: FakeManciple
let plugin: MancipleGatewayPlugin

async function configured(options: object = {}): Promise<MancipleGatewayPlugin> {
  const made = new MancipleGatewayPlugin(async () => fake)
  ledgers += 1
  await made.configure({ policy, ledger: `ledger-${ledgers}`, models: MODELS, maxRetries: 4, ...options })
  return made
}

beforeEach(async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {})
  vi.spyOn(process, 'once').mockImplementation(() => process)
  fake = new FakeManciple()
  plugin = await configured()
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function contextOf(given: { model?: string; headers?: Record<string, string>; retry?: number; body?: object; content?: unknown } = {}): IRequestContext {
  const headers = given.headers ?? { 'x-manciple-input-tokens': '100' }
  const body = { model: given.model ?? 'opus', messages: [{ role: 'user', content: given.content ?? 'hello' }], ...given.body }
  return {
    request: { ...body, target_provider: '', metadata: { custom: { n: undefined } } } as unknown as IRequestContext['request'],
    httpRequest: { method: 'POST', url: '/', headers, body },
    request_id: 'always-the-same',
    plugin_data: new Map(),
    metrics: { start_time: new Date() },
    retry_count: given.retry ?? 0,
    headers,
    query_params: {},
    available_models: Object.keys(MODELS),
    metadata: {},
  }
}

type Answer = NonNullable<IRequestContext['response']>

const chunk = (text: string): Answer => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 0,
  model: 'm',
  content: [{ index: 0, delta: { content: text } }],
})
const usage = { prompt_tokens: 90, completion_tokens: 12, total_tokens: 102 }
const answer = (given: object = {}): Answer => ({ id: 'r', object: 'chat.completion', created: 0, model: 'm', content: [], ...given })

describe('before the model', () => {
  test('the decision picks the model and forces its output bound onto the request', async () => {
    const headers = { 'x-manciple-input-tokens': '100', 'x-manciple-task-id': 't1', 'x-manciple-task-type': 'bulk', 'x-manciple-pinned': 'true' }
    const result = await plugin.beforeModel(contextOf({ headers, body: { max_tokens: 900 } }))
    expect(result.success).toBe(true)
    expect(result.context?.target_model).toBe('opus')
    expect(result.context?.request.max_tokens).toBe(64)
    expect(fake.requests[0]).toEqual({
      backend: 'claude',
      model: 'claude-opus-4-1',
      taskId: 't1',
      taskType: 'bulk',
      pinned: true,
      inputTokens: 100,
      maxOutputTokens: 900,
      candidates: ['claude', 'gpt', 'local'],
    })
  })

  test('`auto` names no backend, and max_completion_tokens bounds the output as well', async () => {
    await plugin.beforeModel(contextOf({ model: 'auto', body: { max_completion_tokens: 7 } }))
    expect(fake.requests[0]).toMatchObject({ maxOutputTokens: 7 })
    expect(fake.requests[0]).not.toHaveProperty('backend')
  })

  test('an unknown model is the client’s mistake, answered with the known ones', async () => {
    const result = await plugin.beforeModel(contextOf({ model: 'opsu' }))
    expect(result).toMatchObject({ success: false, terminate: true, status: 400, error: { message: { code: 'MODEL_UNKNOWN', type: 'invalid_request_error' } } })
    expect(JSON.stringify(result.error?.message)).toContain('opus, gpt, local')
  })

  test('an image without a bound of its tokens is refused, and taken with one', async () => {
    const image = [{ type: 'image_url', image_url: { url: 'https://example.com/x.png' } }]
    expect(await plugin.beforeModel(contextOf({ content: image, headers: {} }))).toMatchObject({ status: 400, error: { message: { code: 'INPUT_UNBOUNDED' } } })
    expect(await plugin.beforeModel(contextOf({ content: image }))).toMatchObject({ success: true })
  })

  test('a refusal answers 429 with the reason and the reset', async () => {
    fake.refuse = true
    const result = await plugin.beforeModel(contextOf())
    expect(result).toMatchObject({ success: false, terminate: true, status: 429, error: { message: { code: 'BUDGET_REFUSED', type: 'insufficient_quota' } } })
    expect(JSON.stringify(result.error?.message)).toMatch(/all\.day has no room.*2026-07-01T00:00:00.000Z/)
  })

  test('a fault of Manciple sends the call to the local model, unmetered, and says so', async () => {
    fake.failWith = new Error('disk gone')
    const result = await plugin.beforeModel(contextOf())
    expect(result).toMatchObject({ success: true, context: { target_model: 'local' } })
    expect(console.error).toHaveBeenCalledWith(expect.stringContaining('disk gone'))
  })

  test('without a local model a fault closes', async () => {
    fake.failWith = new Error('disk gone')
    const cloud = await configured({ models: { opus: MODELS.opus } })
    expect(await cloud.beforeModel(contextOf())).toMatchObject({ success: false, status: 503, error: { message: { code: 'MANCIPLE_FAILED' } } })
  })

  test('a malformed request is the client’s mistake', async () => {
    fake.failWith = new MancipleError('REQUEST_INVALID', 'maxOutputTokens: found -4')
    expect(await plugin.beforeModel(contextOf())).toMatchObject({ status: 400, error: { message: { code: 'REQUEST_INVALID' } } })
    expect(await plugin.beforeModel(contextOf({ body: { max_tokens: 'many' } }))).toMatchObject({
      status: 400,
      error: { message: { code: 'REQUEST_INVALID' } },
    })
  })

  test('a model that the gateway does not have stops every call: the gateway would send it to its default', async () => {
    const result = await plugin.beforeModel({ ...contextOf(), available_models: ['opus', 'gpt'] })
    expect(result).toMatchObject({ status: 500, error: { message: { code: 'PLUGIN_CONFIG_INVALID' } } })
    expect(fake.requests).toHaveLength(0)
  })
})

describe('a plain call', () => {
  test('is billed once by the usage of its answer', async () => {
    const context = contextOf()
    await plugin.beforeModel(context)
    const after = { ...context, response: answer({ usage }) }
    await plugin.afterModel(after)
    await plugin.detachedAfterResponse(after)
    expect(fake.fates).toHaveLength(1)
    expect(fake.fates[0]?.outcomes).toEqual([
      { status: 'ok', durationMs: expect.any(Number), usage: { inputTokens: 90, outputTokens: 12, cacheReadTokens: 0, reasoningTokens: 0 } },
    ])
  })

  test.each([undefined, { prompt_tokens: 5 }, { prompt_tokens: Number.NaN, completion_tokens: 1 }])('with usage %j is billed by its hold', async (given) => {
    const context = contextOf()
    await plugin.beforeModel(context)
    await plugin.afterModel({ ...context, response: answer(given === undefined ? undefined : { usage: given }) })
    expect(fake.fates[0]?.outcomes).toEqual([{ status: 'ok', durationMs: expect.any(Number) }])
  })

  test('two calls with one request id are two calls', async () => {
    const [first, second] = [contextOf(), contextOf()]
    await plugin.beforeModel(first)
    await plugin.beforeModel(second)
    await plugin.afterModel({ ...second, response: answer({ usage }) })
    expect(fake.fates.map(({ outcomes }) => outcomes.length)).toEqual([0, 1])
  })
})

describe('a stream', () => {
  test('is billed by the usage of the chunk itself, when its last chunk has come', async () => {
    const context = contextOf()
    await plugin.beforeModel(context)
    await plugin.afterChunk({ ...context, chunk: chunk('hello') })
    await plugin.afterChunk({ ...context, chunk: { ...chunk(''), usage: { ...usage, prompt_tokens_details: { cached_tokens: 30 } } } })
    expect(fake.fates[0]?.outcomes).toEqual([])
    await plugin.afterChunk({ ...context, chunk: undefined, finalChunk: true } as unknown as IRequestContext)
    expect(fake.fates[0]?.outcomes).toMatchObject([{ status: 'ok', usage: { inputTokens: 90, outputTokens: 12, cacheReadTokens: 30 } }])
  })

  test('that ends well without a usage is billed for its input and what it wrote', async () => {
    const context = contextOf()
    await plugin.beforeModel(context)
    await plugin.afterChunk({ ...context, chunk: chunk('hello') })
    await plugin.afterChunk({ ...context, chunk: undefined, finalChunk: true } as unknown as IRequestContext)
    expect(fake.fates[0]?.outcomes).toEqual([
      { status: 'ok', durationMs: expect.any(Number), usage: { inputTokens: 100, outputTokens: 5 }, usageSource: 'partial' },
    ])
  })

  test('that is cut is billed for its input and the output so far, and is not tried again', async () => {
    const context = contextOf()
    await plugin.beforeModel(context)
    await plugin.afterChunk({ ...context, chunk: chunk('hello') })
    expect(await plugin.onModelError({ ...context, error: new Error('read ECONNRESET') })).toMatchObject({ reevaluateRequest: false })
    expect(fake.fates[0]?.outcomes).toMatchObject([{ status: 'cut', usageSource: 'partial', usage: { inputTokens: 100, outputTokens: 5 } }])
  })

  test('of which nothing more is heard is settled when its time is over, and never again', async () => {
    vi.useFakeTimers()
    plugin = await configured({ callTimeoutMs: 1000 })
    const [streamed, silent] = [contextOf(), contextOf()]
    await plugin.beforeModel(streamed)
    await plugin.beforeModel(silent)
    await plugin.afterChunk({ ...streamed, chunk: chunk('x'.repeat(500)) })
    vi.advanceTimersByTime(1125)
    expect(fake.fates[0]?.outcomes).toMatchObject([{ status: 'expired', usageSource: 'partial', usage: { inputTokens: 100, outputTokens: 64 } }])
    expect(fake.fates[1]?.outcomes).toEqual([{ status: 'expired', durationMs: expect.any(Number) }])
    await plugin.afterChunk({ ...streamed, chunk: undefined, finalChunk: true } as unknown as IRequestContext)
    await plugin.afterModel({ ...silent, response: answer({ usage }) })
    expect(fake.fates.map(({ outcomes }) => outcomes.length)).toEqual([1, 1])
  })
})

describe('an upstream that fails', () => {
  const down = new Error('connect ECONNREFUSED 127.0.0.1:1')

  async function attempt(headers: Record<string, string>, retry: number, error: Error): Promise<boolean | undefined> {
    const context = contextOf({ headers, retry })
    await plugin.beforeModel(context)
    return (await plugin.onModelError({ ...context, error })).reevaluateRequest
  }

  test('before any token costs nothing, and the next try leaves it out', async () => {
    const headers = { 'x-manciple-input-tokens': '1' }
    expect(await attempt(headers, 0, down)).toBe(true)
    expect(fake.fates[0]).toEqual({ outcomes: [], released: [down.message] })
    expect(await attempt(headers, 1, down)).toBe(true)
    expect(fake.requests.map(({ candidates }) => candidates)).toEqual([
      ['claude', 'gpt', 'local'],
      ['gpt', 'local'],
    ])
  })

  test('is left out for local when the call is pinned to it', async () => {
    const headers = { 'x-manciple-input-tokens': '1', 'x-manciple-pinned': 'true' }
    expect(await attempt(headers, 0, down)).toBe(true)
    expect(await plugin.beforeModel(contextOf({ headers, retry: 1 }))).toMatchObject({ success: true, context: { target_model: 'local' } })
    expect(fake.requests[1]).toMatchObject({ backend: 'claude', pinned: true, candidates: ['gpt', 'local'] })
  })

  test('and is local is not left for the cloud', async () => {
    const headers = { 'x-manciple-input-tokens': '1' }
    const context = contextOf({ model: 'local', headers })
    await plugin.beforeModel(context)
    expect((await plugin.onModelError({ ...context, error: down })).reevaluateRequest).toBe(true)
    const result = await plugin.beforeModel(contextOf({ model: 'local', headers, retry: 1 }))
    expect(result).toMatchObject({ success: false, status: 503, error: { message: { code: 'BACKENDS_FAILED' } } })
  })

  test('by a time-out is billed by its hold, and tried elsewhere', async () => {
    expect(await attempt({ 'x-manciple-input-tokens': '1' }, 0, new Error('OpenAI API request timeout'))).toBe(true)
    expect(fake.fates[0]?.outcomes).toEqual([{ status: 'error', durationMs: expect.any(Number) }])
  })

  test('on the last try is not asked for again', async () => {
    expect(await attempt({ 'x-manciple-input-tokens': '1' }, 3, down)).toBe(false)
  })

  test('because the request is at fault is not tried elsewhere', async () => {
    expect(await attempt({ 'x-manciple-input-tokens': '1' }, 0, new Error('OpenAI API Error (400): no'))).toBe(false)
    expect(fake.fates[0]?.released).toHaveLength(1)
  })

  test('like all others is answered 503, and the hold of the last choice is given back', async () => {
    const headers = { 'x-manciple-input-tokens': '1' }
    for (const retry of [0, 1, 2]) await attempt(headers, retry, down)
    const result = await plugin.beforeModel(contextOf({ headers, retry: 3 }))
    expect(result).toMatchObject({ success: false, status: 503, error: { message: { code: 'BACKENDS_FAILED' } } })
    expect(fake.fates.map(({ released, outcomes }) => released.length + outcomes.length)).toEqual([1, 1, 1, 1])
  })
})

test('on exit what is under way is settled with what is known, and the ledger closed', async () => {
  const context = contextOf()
  await plugin.beforeModel(context)
  await plugin.afterChunk({ ...context, chunk: chunk('hey') })
  const [event, listener] = vi.mocked(process.once).mock.lastCall ?? []
  expect(event).toBe('exit')
  listener?.()
  expect(fake.fates[0]?.outcomes).toMatchObject([{ status: 'cut', usageSource: 'partial', usage: { outputTokens: 3 } }])
  expect(fake.closed).toBe(1)
})

test('two projects with one config share one ledger', async () => {
  const opened = vi.fn(async () => fake)
  const config = { policy, ledger: 'shared', models: MODELS }
  await new MancipleGatewayPlugin(opened).configure(config)
  await new MancipleGatewayPlugin(opened).configure(config)
  expect(opened).toHaveBeenCalledTimes(1)
})

test.each([
  [{ opus: { backend: 'cloud', model: 'claude-opus-4-1' } }, /models\.opus\.backend: cloud is not one of claude, gpt, local/],
  [{ opus: { backend: 'claude', model: 'opus' } }, /models\.opus\.model: opus is not one of claude-opus-4-1/],
])('a model that the policy does not have stops the start', async (models, message) => {
  await expect(configured({ models })).rejects.toMatchObject({ code: 'PLUGIN_CONFIG_INVALID', message: expect.stringMatching(message) })
})

test('a config with a mistake stops the start, with its code in the output', async () => {
  await expect(new MancipleGatewayPlugin(async () => fake).configure({ policy: 'p' })).rejects.toMatchObject({ code: 'PLUGIN_CONFIG_INVALID' })
  expect(console.error).toHaveBeenCalledWith(expect.stringContaining('PLUGIN_CONFIG_INVALID'))
})
