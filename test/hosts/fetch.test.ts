import Anthropic from '@anthropic-ai/sdk'
import type { DecideRequest, Dispatch } from '@manciple/core'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import type { BudgetedFetchOptions } from '@manciple/router-plugin/fetch'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { watch } from './watched.ts'
import type { Watched } from './watched.ts'

const SONNET = 'claude-sonnet-4-20250514'
const POLICY = `budgets: { daily_limit_usd: 100.00 }
backends:
  claude: { models: [${SONNET}, claude-3-5-haiku-20241022] }
  gpt: { models: [gpt-4.1, text-embedding-3-small] }
  gemini: { models: [gemini-2.5-pro] }
  local: { kind: local, models: ["llama3.1:8b"] }
limits:
  - { name: spent, amount: 0.05/day, task_type: spent }
prices: { kimi-k2: { input_mtok: 0.6, output_mtok: 2.5 } }
rules:
  - name: no sonnet
    conditions: { all: [{ fact: task_type, operator: equal, value: cheap }, { fact: model, operator: equal, value: ${SONNET} }] }
    event: { type: forbid }
  - name: nothing local
    conditions: { all: [{ fact: task_id, operator: equal, value: not-local }, { fact: backend, operator: equal, value: local }] }
    event: { type: forbid }
`
const CHAT = 'https://api.openai.com/v1/chat/completions'
const ANSWER = { choices: [{ message: { content: 'Bread.' } }], usage: { prompt_tokens: 100, completion_tokens: 20 } }

interface Seen {
  readonly url: string
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

let manciple: Watched
let seen: Seen[]
let errors: unknown[]
let answer: () => Response | Promise<Response>

beforeEach(async () => {
  manciple = await watch(POLICY)
  const spender = await manciple.open.decide({ backend: 'gpt', taskType: 'spent', inputTokens: 1, maxOutputTokens: 300 })
  await spender.settle({ inputTokens: 1, outputTokens: 7000 })
  seen = []
  errors = []
  answer = () => Response.json(ANSWER)
})
afterEach(() => manciple.open.close())

const provider: typeof fetch = async (input, init) => {
  seen.push({ url: String(input), headers: new Headers(init?.headers), body: JSON.parse(String(init?.body)) })
  init?.signal?.throwIfAborted()
  return answer()
}

function budgeted(options: BudgetedFetchOptions = {}): typeof fetch {
  return budgetedFetch(manciple, { fetch: provider, onError: (error) => errors.push(error), ...options })
}

function post(url: string, body: object, headers: Record<string, string> = {}, options: BudgetedFetchOptions = {}): Promise<Response> {
  return budgeted(options)(url, { method: 'POST', headers, body: JSON.stringify(body) })
}

const ask = (fields: object = {}): object => ({ model: 'gpt-4.1', messages: [{ role: 'user', content: 'What?' }], ...fields })

describe('leaves untouched', () => {
  test.each([
    ['what is not sent by POST', 'https://api.openai.com/v1/chat/completions', { method: 'GET' }],
    ['another service', 'https://example.com/v1/orders', { method: 'POST', body: '{}' }],
    ['a service whose path ends alike', 'https://api.twilio.com/2010/Accounts/1/messages', { method: 'POST', body: '{"to":"+1"}' }],
    ['what is no JSON at a service that is not known', 'https://example.com/responses', { method: 'POST', body: 'hello' }],
  ])('%s', async (_, url, init) => {
    const passed: unknown[] = []
    const response = new Response('as it came')
    const send = budgeted({
      fetch: async (...args) => {
        passed.push(...args)
        return response
      },
    })
    expect(await send(url, init)).toBe(response)
    expect(passed[0]).toBe(url)
    expect(passed[1]).toBe(init)
    expect(manciple.requests).toEqual([])
    expect(errors).toEqual([])
  })

  test('an endpoint of a backend that is not metered, and says so once', async () => {
    const send = budgeted()
    for (let time = 0; time < 3; time++) await send('https://api.openai.com/v1/images/generations', { method: 'POST', body: '{"prompt":"a manciple"}' })
    await send('https://api.anthropic.com/v1/messages/count_tokens', { method: 'POST', body: '{}' })
    expect(manciple.requests).toEqual([])
    expect(errors).toMatchObject([{ code: 'ENDPOINT_UNMETERED', message: expect.stringContaining('/v1/images/generations of gpt') }])
  })

  test('all of an answer but one header', async () => {
    answer = () => new Response(JSON.stringify(ANSWER), { status: 201, statusText: 'Made', headers: { 'x-request-id': 'r1' } })
    const response = await post(CHAT, ask())
    expect([response.status, response.statusText, response.headers.get('x-request-id')]).toEqual([201, 'Made', 'r1'])
    expect(response.headers.get('x-manciple-decision')).toBe('dispatch;backend="gpt";model="gpt-4.1"')
    expect(await response.json()).toEqual(ANSWER)
  })

  test('each chunk of a stream: the very bytes, one by one', async () => {
    const chunks = ['data: {"choices":[{"delta":{"content":"a', '"}}]}\n\nda', 'ta: [DONE]\n\n'].map((text) => new TextEncoder().encode(text))
    answer = () => new Response(ReadableStream.from(chunks), { headers: { 'content-type': 'text/event-stream' } })
    const { body } = await post(CHAT, ask({ stream: true, stream_options: { include_usage: true } }))
    const got: unknown[] = []
    for await (const chunk of body ?? []) got.push(chunk)
    expect(got).toHaveLength(chunks.length)
    for (const [index, chunk] of chunks.entries()) expect(got[index]).toBe(chunk)
  })
})

describe('the usage of a stream that the client did not ask for', () => {
  const event = (fields: object): string => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', ...fields })}\n\n`
  const text =
    event({ choices: [{ index: 0, delta: { content: 'Bread' } }] }) +
    event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }) +
    event({ choices: [], usage: { prompt_tokens: 100, completion_tokens: 1 } }) +
    'data: [DONE]\n\n'

  test.each([1, 7, 10_000])('is billed and does not reach it, in pieces of %i bytes', async (size) => {
    const bytes = new TextEncoder().encode(text)
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.slice(index * size, (index + 1) * size))
    answer = () => new Response(ReadableStream.from(pieces), { headers: { 'content-type': 'text/event-stream' } })
    const openai = new OpenAI({ apiKey: 'k', fetch: budgeted() })
    const choices: number[] = []
    for await (const chunk of await openai.chat.completions.create({ model: 'gpt-4.1', messages: [{ role: 'user', content: 'What?' }], stream: true }))
      choices.push(chunk.choices.length)
    expect(choices).toEqual([1, 1])
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: 100, completion_tokens: 1, usage_source: 'reported' })
  })
})

describe('a request', () => {
  test('keeps all that the client sent, gets the bound of its hold, and asks for the usage of a stream', async () => {
    await post(CHAT, ask({ stream: true, seed: 7, stream_options: { include_obfuscation: false }, max_completion_tokens: 50 }), {
      authorization: 'Bearer key',
      'x-manciple-task-id': 't-1',
      'x-manciple-task-type': 'chat',
    })
    expect(seen[0]?.body).toEqual(
      ask({ stream: true, seed: 7, stream_options: { include_obfuscation: false, include_usage: true }, max_completion_tokens: 50 }),
    )
    expect(Object.fromEntries(seen[0]?.headers ?? [])).toEqual({ authorization: 'Bearer key' })
    expect(manciple.requests[0]).toMatchObject({ backend: 'gpt', model: 'gpt-4.1', taskId: 't-1', taskType: 'chat', maxOutputTokens: 50, candidates: ['gpt'] })
  })

  test.each([
    ['chat completions of OpenAI', CHAT, ask(), { max_completion_tokens: 8192 }],
    ['chat completions of others', 'https://api.moonshot.ai/v1/chat/completions', ask({ model: 'kimi-k2' }), { max_tokens: 8192 }],
    ['responses', 'https://api.openai.com/v1/responses', { model: 'gpt-4.1', input: 'What?' }, { max_output_tokens: 8192 }],
    [
      'generateContent',
      'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent',
      { contents: [{ parts: [{ text: 'What?' }] }], generationConfig: { temperature: 0 } },
      { generationConfig: { temperature: 0, maxOutputTokens: 8192 } },
    ],
  ])('to %s without a bound gets the policy’s', async (_, url, body, forced) => {
    await manciple.open.close()
    manciple = await watch(POLICY.replace('  gemini:', '  kimi: { models: [kimi-k2] }\n  gemini:'))
    await post(url, body)
    expect(seen[0]?.body).toEqual({ ...body, ...forced })
  })

  test('may come as a Request, in bytes, and with a base URL of one’s own', async () => {
    const options = { backends: { gpt: { url: 'http://proxy.test/openai/' } } }
    const url = 'http://proxy.test/openai/v1/chat/completions'
    await budgeted(options)(new Request(url, { method: 'POST', headers: { 'x-mine': '1' }, body: JSON.stringify(ask()) }))
    await budgeted(options)(new URL(url), { method: 'POST', body: new TextEncoder().encode(JSON.stringify(ask())) })
    expect(seen.map((one) => [one.url, one.headers.get('x-mine')])).toEqual([
      [url, '1'],
      [url, null],
    ])
  })

  test.each([
    ['an image', ask({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }] }] }), CHAT],
    ['a stored conversation', { model: 'gpt-4.1', input: 'And?', previous_response_id: 'resp_1' }, 'https://api.openai.com/v1/responses'],
    ['a hosted tool', { model: 'gpt-4.1', input: 'News?', tools: [{ type: 'web_search' }] }, 'https://api.openai.com/v1/responses'],
    [
      'a document',
      { model: SONNET, max_tokens: 9, messages: [{ role: 'user', content: [{ type: 'document', source: {} }] }] },
      'https://api.anthropic.com/v1/messages',
    ],
    [
      'a cached content',
      { contents: [], cachedContent: 'cachedContents/1' },
      'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent',
    ],
  ])('that holds %s needs a bound of its tokens', async (_, body, url) => {
    const refused = await post(url, body)
    expect(refused.status).toBe(400)
    expect(await refused.text()).toContain('INPUT_UNBOUNDED')
    expect(seen).toEqual([])
    await post(url, body, { 'x-manciple-input-tokens': '5000' })
    await post(url, body, {}, { unboundedTokens: 3000 })
    expect(manciple.requests[0]?.inputTokens).toBe(5000)
    expect(manciple.requests[1]?.inputTokens).toBeGreaterThan(4000)
    expect(seen).toHaveLength(2)
  })

  test('that a known backend is sent without JSON is refused, and so is one that looks paid at a place nobody knows', async () => {
    const garbled = await budgeted()(CHAT, { method: 'POST', body: 'model=gpt' })
    expect([garbled.status, await garbled.text()]).toEqual([400, expect.stringContaining('must be a JSON object')])
    const strange = await post('https://my-proxy.test/v1/chat/completions', ask())
    expect([strange.status, await strange.text()]).toEqual([500, expect.stringContaining('BACKEND_UNCLEAR')])
    expect(seen).toEqual([])
  })

  test('of a backend that the policy does not have is refused with its names', async () => {
    const refused = await post('https://api.moonshot.ai/v1/chat/completions', ask({ model: 'kimi-k2' }))
    expect([refused.status, await refused.text()]).toEqual([500, expect.stringContaining('the policy has claude, gpt, gemini, local')])
  })

  test('whose caller is gone makes no attempt, and gives its hold back', async () => {
    await expect(budgeted()(CHAT, { method: 'POST', body: JSON.stringify(ask()), signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone')
    const leaving = new AbortController()
    const deciding = async (request: DecideRequest): Promise<Dispatch> => {
      const dispatch = await manciple.decide(request)
      leaving.abort(new Error('left'))
      return dispatch
    }
    const send = budgetedFetch({ ...manciple, decide: deciding }, { fetch: provider })
    const call = send(CHAT, { method: 'POST', body: JSON.stringify(ask()), signal: leaving.signal })
    await expect(call).rejects.toThrow('left')
    expect([seen.length, manciple.entries.length]).toEqual([0, 0])
    expect([manciple.requests.length, manciple.releases]).toEqual([1, ['the caller went away before the call']])
  })
})

describe('a reroute', () => {
  const spent = { authorization: 'Bearer secret', 'x-api-key': 'secret', cookie: 'secret', 'openai-organization': 'org', 'x-manciple-task-type': 'spent' }

  test('to the local server carries the model and the bound, and no key', async () => {
    const response = await post(CHAT, ask({ max_completion_tokens: 700 }), spent)
    expect(seen[0]?.url).toBe('http://localhost:11434/v1/chat/completions')
    expect(seen[0]?.body).toEqual({ ...ask(), model: 'llama3.1:8b', max_tokens: 700 })
    expect(JSON.stringify([...(seen[0]?.headers ?? [])])).not.toMatch(/secret|org/)
    expect(response.headers.get('x-manciple-decision')).toMatch(/^reroute;backend="local";model="llama3\.1:8b";reason="[^"]+"$/)
    await response.text()
    expect(await manciple.entry()).toMatchObject({ backend: 'local', cost_usd: 0, requested_backend: 'gpt' })
  })

  test.each([
    ['responses', 'https://api.openai.com/v1/responses', { model: 'gpt-4.1', input: 'What?' }, 'http://box:8080/v1/responses'],
    ['messages', 'https://api.anthropic.com/v1/messages', { ...ask({ model: SONNET }), max_tokens: 900 }, 'http://box:8080/v1/messages'],
  ])('of %s keeps the format', async (_, url, body, target) => {
    await post(url, body, spent, { backends: { local: { url: 'http://box:8080/v1', apiKey: 'local-key', maxOutputTokens: 512 } } })
    expect(seen[0]?.url).toBe(target)
    expect(seen[0]?.headers.get('authorization')).toBe('Bearer local-key')
    expect(seen[0]?.body).toMatchObject({ model: 'llama3.1:8b' })
    expect(JSON.stringify(seen[0]?.body)).toMatch(/"max_\w+":512/)
  })

  test('to another model of the same backend changes the model alone', async () => {
    await post('https://api.anthropic.com/v1/messages', { ...ask({ model: SONNET }), max_tokens: 900 }, { 'x-manciple-task-type': 'cheap' })
    expect([seen[0]?.url, seen[0]?.body['model']]).toEqual(['https://api.anthropic.com/v1/messages', 'claude-3-5-haiku-20241022'])
  })

  test.each([
    [
      'a format that the local server does not take',
      'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent',
      { contents: [{ parts: [{ text: 'What?' }] }] },
      {},
      /local does not take the format gemini.*backends\.local\.accepts/,
    ],
    [
      'tools that the local server lacks',
      CHAT,
      ask({ tools: [{ type: 'function', function: { name: 'buy' } }] }),
      { backends: { local: { url: 'http://box:8080/v1', tools: false } } },
      /local has no tools, and the call brings some/,
    ],
    [
      'what only the provider has',
      'https://api.openai.com/v1/responses',
      { model: 'gpt-4.1', input: 'And?', previous_response_id: 'resp_1' },
      { unboundedTokens: 1000 },
      /only gpt has what the call asks for: previous_response_id/,
    ],
    [
      'embeddings',
      'https://api.openai.com/v1/embeddings',
      { model: 'text-embedding-3-small', input: 'What?' },
      {},
      /only gpt has what the call asks for: vectors/,
    ],
  ])('with %s is a stated error', async (_, url, body, options, said) => {
    const refused = await post(url, body, spent, options)
    expect(refused.status).toBe(429)
    const text = await refused.text()
    expect(text).toContain('REROUTE_IMPOSSIBLE')
    expect(text).toMatch(said)
    expect([seen.length, manciple.entries.length, manciple.releases.length]).toEqual([0, 0, 1])
  })

  test('of embeddings to another model of the same backend is refused: here one without a price', async () => {
    const refused = await post('https://api.openai.com/v1/embeddings', { model: 'text-embedding-of-mine', input: 'What?' })
    expect([refused.status, seen.length]).toEqual([429, 0])
    expect(await refused.text()).toMatch(/price is unknown.*would go to gpt-4\.1 of gpt, but only gpt has what the call asks for: vectors/)
  })

  test('is what becomes of a chat with a model that has a price for its input alone: what it may write has none', async () => {
    const response = await post(CHAT, ask({ model: 'text-embedding-3-small' }))
    expect(response.headers.get('x-manciple-decision')).toMatch(/^reroute;.*text-embedding-3-small: its price is unknown|^reroute;.*price is unknown/)
    expect(seen.map(({ body }) => body['model'])).not.toContain('text-embedding-3-small')
  })

  test('is not made of a call to a local server: no budget stops it', async () => {
    await post('http://localhost:11434/v1/chat/completions', ask({ model: 'llama3.1:8b' }), spent)
    expect(seen[0]?.url).toBe('http://localhost:11434/v1/chat/completions')
    expect(seen[0]?.headers.get('authorization')).toBe('Bearer secret')
  })
})

describe('a refusal', () => {
  const headers = { 'x-manciple-task-type': 'spent', 'x-manciple-task-id': 'not-local' }

  test('is the SDK’s own RateLimitError, is not tried again and says when to', async () => {
    const openai = new OpenAI({ apiKey: 'k', fetch: budgeted(), maxRetries: 3 })
    const anthropic = new Anthropic({ apiKey: 'k', fetch: budgeted(), maxRetries: 3 })
    const messages = [{ role: 'user' as const, content: 'What?' }]
    const one = await openai.chat.completions.create({ model: 'gpt-4.1', max_completion_tokens: 300, messages }, { headers }).catch((error: unknown) => error)
    const two = await anthropic.messages.create({ model: SONNET, max_tokens: 9, messages }, { headers }).catch((error: unknown) => error)
    expect(one).toBeInstanceOf(OpenAI.RateLimitError)
    expect(one).toMatchObject({
      status: 429,
      code: 'BUDGET_REFUSED',
      type: 'insufficient_quota',
      message: expect.stringContaining('Cloud calls are possible again from'),
    })
    expect(two).toBeInstanceOf(Anthropic.RateLimitError)
    expect(Number((one as InstanceType<typeof OpenAI.RateLimitError>).headers?.get('retry-after'))).toBeGreaterThan(0)
    expect(manciple.requests).toHaveLength(2)
    expect(seen).toEqual([])
  })

  test('of Google’s format is shaped as Google’s errors', async () => {
    const url = 'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent'
    const refused = await post(url, { contents: [{ parts: [{ text: 'What?' }] }] }, headers)
    expect(await refused.json()).toMatchObject({ error: { code: 429, status: 'RESOURCE_EXHAUSTED', details: [{ reason: 'BUDGET_REFUSED' }] } })
  })

  test('is what a Manciple that fails comes to: nothing goes out unchecked', async () => {
    await manciple.open.close()
    const refused = await post(CHAT, ask())
    expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining('MANCIPLE_FAILED')])
    expect(errors).toMatchObject([{ code: 'CLOSED' }])
    expect(seen).toEqual([])
  })
})

describe('a failover', () => {
  const options = { failover: true, backends: { local: { url: 'http://box:8080/v1' } } }

  test('asks for another decision and says so', async () => {
    let dropped = false
    const overloaded = new ReadableStream({
      cancel() {
        dropped = true
      },
    })
    answer = () => (seen.length === 1 ? new Response(overloaded, { status: 529 }) : Response.json(ANSWER))
    const response = await post(CHAT, ask(), {}, options)
    expect(seen.map(({ url }) => url)).toEqual([CHAT, 'http://box:8080/v1/chat/completions'])
    expect(dropped).toBe(true)
    expect(response.headers.get('x-manciple-decision')).toMatch(/^reroute;backend="local"/)
    expect(manciple.requests.map(({ candidates }) => candidates)).toEqual([['gpt', 'local'], ['local']])
  })

  test('ends with the first backend’s own error when nobody else may take the call', async () => {
    answer = () => new Response('{"error":"overloaded"}', { status: 529 })
    const response = await post(CHAT, ask(), { 'x-manciple-task-id': 'not-local' }, options)
    expect([response.status, await response.text()]).toEqual([529, '{"error":"overloaded"}'])
    expect(manciple.releases).toEqual(['the provider answered 529'])
  })

  test('is not made after a time-out, which may have been served, nor of a request that is at fault', async () => {
    for (const status of [504, 400]) {
      seen = []
      answer = () => new Response('{}', { status })
      await post(CHAT, ask(), {}, options)
      expect(seen).toHaveLength(1)
    }
  })

  test('never takes a call from a local server to the cloud', async () => {
    answer = () => new Response('{}', { status: 500 })
    const response = await post(
      'http://box:8080/v1/chat/completions',
      ask({ model: 'llama3.1:8b' }),
      {},
      { failover: true, backends: { local: { url: 'http://box:8080/v1' }, gpt: { url: 'https://api.openai.com/v1', accepts: ['openai-chat'] } } },
    )
    expect([response.status, seen.length]).toEqual([500, 1])
  })
})

describe('a request for no output at all', () => {
  test.each([
    ['chat completions', CHAT, ask({ max_tokens: 0 })],
    ['messages', 'https://api.anthropic.com/v1/messages', { model: SONNET, max_tokens: 0, messages: [] }],
  ])('of %s is a stated error: some servers take a bound of 0 for none', async (_, url, body) => {
    const refused = await post(url, body)
    expect([refused.status, seen.length]).toEqual([400, 0])
    expect(await refused.text()).toContain('expected at least 1')
  })
})

describe('an answer', () => {
  test('of embeddings is billed by its input', async () => {
    answer = () => Response.json({ object: 'list', data: [], usage: { prompt_tokens: 12, total_tokens: 12 } })
    await (await post('https://api.openai.com/v1/embeddings', { model: 'text-embedding-3-small', input: ['What?', 'Bread'] })).text()
    expect(seen[0]?.body).toEqual({ model: 'text-embedding-3-small', input: ['What?', 'Bread'] })
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: 12, completion_tokens: 0, usage_source: 'reported' })
  })

  test('of embeddings by OpenAI’s SDK is billed exactly, at the stock price list’s price', async () => {
    answer = () => Response.json({ object: 'list', data: [], model: 'text-embedding-3-small', usage: { prompt_tokens: 1_234_567, total_tokens: 1_234_567 } })
    const client = new OpenAI({ apiKey: 'k', fetch: budgeted() })
    await client.embeddings.create({ model: 'text-embedding-3-small', input: ['What?', 'Bread'], encoding_format: 'float' })
    expect(manciple.requests.at(-1)).toMatchObject({ maxOutputTokens: 0 })
    // 0.02 USD a million tokens.
    expect(await manciple.entry()).toMatchObject({ backend: 'gpt', cost_usd: 0.02469134, completion_tokens: 0, usage_source: 'reported' })
    expect(errors).toEqual([])
  })

  test('that no usage came with is billed by its hold: the input’s bound, and no output', async () => {
    answer = () => Response.json({ object: 'list', data: [] })
    await (await post('https://api.openai.com/v1/embeddings', { model: 'text-embedding-3-small', input: 'What?' })).text()
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: manciple.requests.at(-1)?.inputTokens, completion_tokens: 0, usage_source: 'hold' })
  })

  test('of generateContent in one JSON list is billed by its last counts', async () => {
    const list = [2, 5].map((count) => ({ candidates: [], usageMetadata: { promptTokenCount: 9, candidatesTokenCount: count } }))
    answer = () => Response.json(list)
    const url = 'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent'
    await (await post(url, { contents: [{ parts: [{ text: 'What?' }] }] })).text()
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: 9, completion_tokens: 5 })
  })

  test('that contradicts itself is billed by what it wrote', async () => {
    answer = () => Response.json({ choices: [{ message: { content: 'Bread.' } }], usage: { prompt_tokens: -1, completion_tokens: 3 } })
    await (await post(CHAT, ask())).text()
    expect(await manciple.entry()).toMatchObject({ completion_tokens: 6, usage_source: 'partial', status: 'ok' })
  })

  test('of a stream whose reader goes away cancels the provider', async () => {
    let cancelled: unknown
    const source = new ReadableStream({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode('data: {"choices":[{"delta":{"content":"Bread"}}]}\n\n'))
      },
      cancel(reason) {
        cancelled = reason
      },
    })
    answer = () => new Response(source, { headers: { 'content-type': 'text/event-stream' } })
    const reader = (await post(CHAT, ask({ stream: true }))).body?.getReader()
    await reader?.read()
    await reader?.cancel('enough')
    expect(cancelled).toBe('enough')
    expect(await manciple.entry()).toMatchObject({ status: 'aborted', usage_source: 'partial', completion_tokens: 5 })
  })

  test('of a model that reasons unseen is billed by its hold when it is cut', async () => {
    const url = 'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent'
    answer = () => new Response('data: {"candidates":[{"content":{"parts":[{"text":"B"}]}}]}\n\n', { headers: { 'content-type': 'text/event-stream' } })
    const body = { contents: [{ parts: [{ text: 'What?' }] }], generationConfig: { maxOutputTokens: 400 } }
    await (await post(url, body)).text()
    expect(await manciple.entry()).toMatchObject({ status: 'cut', usage_source: 'hold', completion_tokens: 400 })
  })

  test.each([
    ['anthropic-ratelimit-unified-7d-utilization', '0.42', {}, 0.42],
    ['x-codex-secondary-used-percent', '17', { 'x-codex-secondary-window-minutes': '10080' }, 0.17],
  ])('with %s is a reading of the quota, told once until it changes', async (name, value, others, used) => {
    answer = () => Response.json(ANSWER, { headers: { [name]: value, ...others } })
    const send = budgeted()
    for (let time = 0; time < 2; time++) await send(CHAT, { method: 'POST', body: JSON.stringify(ask()) })
    expect(manciple.observed).toEqual([{ backend: 'gpt', used, source: name }])
  })

  test('with the buckets of a minute, or another window, is no reading', async () => {
    answer = () =>
      Response.json(ANSWER, {
        headers: {
          'anthropic-ratelimit-tokens-remaining': '5',
          'x-ratelimit-remaining-tokens': '5',
          'x-codex-primary-used-percent': '9',
          'x-codex-primary-window-minutes': '300',
        },
      })
    await post(CHAT, ask())
    expect(manciple.observed).toEqual([])
  })
})

describe('a stream that is faster than a model writes', () => {
  const PIECE = 64 * 1024
  const stream = (text: string, cut = false): (() => Response) => {
    const bytes = new TextEncoder().encode(text)
    const pieces = Array.from({ length: Math.ceil(bytes.length / PIECE) }, (_, index) => bytes.slice(index * PIECE, (index + 1) * PIECE))
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* pieces
      if (cut) throw new TypeError('terminated')
    }
    return () => new Response(ReadableStream.from(source()), { headers: { 'content-type': 'text/event-stream' } })
  }
  const chatPart = `data: ${JSON.stringify({ choices: [{ delta: { content: 'bread and malt' }, finish_reason: null }], usage: null })}\n\n`
  const chatEnd = `data: ${JSON.stringify({ choices: [{ delta: {}, finish_reason: 'stop' }] })}\n\ndata: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 40, completion_tokens: 900 } })}\n\ndata: [DONE]\n\n`
  const length = async (response: Response): Promise<number> => (await response.arrayBuffer()).byteLength

  test.each([
    ['of 500 KB', chatPart.repeat(5000) + chatEnd],
    ['with carriage returns', (chatPart.repeat(5000) + chatEnd).replaceAll('\n', '\r\n')],
    ['longer than what is kept of its end', chatPart.repeat(60_000) + chatEnd],
  ])('%s is billed by the usage at its end', async (_, text) => {
    answer = stream(text)
    expect(await length(await post(CHAT, ask({ stream: true, stream_options: { include_usage: true } })))).toBe(Buffer.byteLength(text))
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: 40, completion_tokens: 900, usage_source: 'reported', status: 'ok' })
  })

  test('is billed by the bound of its output where it is cut', async () => {
    answer = stream(chatPart.repeat(5000), true)
    await expect(length(await post(CHAT, ask({ stream: true, max_completion_tokens: 700 })))).rejects.toThrow('terminated')
    expect(await manciple.entry()).toMatchObject({ completion_tokens: 700, usage_source: 'partial', status: 'cut' })
  })

  test('of Anthropic’s is billed by the input at its head and the output at its end', async () => {
    const event = (data: { type: string }): string => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
    const part = event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'bread and malt' } } as { type: string })
    const head = event({ type: 'message_start', message: { usage: { input_tokens: 40, cache_read_input_tokens: 10, output_tokens: 1 } } } as { type: string })
    const end = event({ type: 'message_delta', delta: {}, usage: { output_tokens: 900 } } as { type: string }) + event({ type: 'message_stop' })
    answer = stream(head + part.repeat(5000) + end)
    await length(await post('https://api.anthropic.com/v1/messages', { ...ask({ model: SONNET, stream: true }), max_tokens: 900 }))
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: 50, completion_tokens: 900, usage_source: 'reported' })
  })

  test('of responses, whose last event repeats all of it, is billed by that', async () => {
    const text = 'bread and malt '.repeat(40_000)
    const usage = { input_tokens: 40, output_tokens: 900 }
    const part = `data: ${JSON.stringify({ type: 'response.output_text.delta', delta: text.slice(0, 1000) })}\n\n`
    answer = stream(part.repeat(600) + `data: ${JSON.stringify({ type: 'response.completed', response: { output: [{ content: [{ text }] }], usage } })}\n\n`)
    await length(await post('https://api.openai.com/v1/responses', { model: 'gpt-4.1', input: 'What?', stream: true }))
    expect(await manciple.entry()).toMatchObject({ prompt_tokens: 40, completion_tokens: 900, usage_source: 'reported' })
  })
})
