import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { Usage } from '@manciple/core'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FORMATS } from '../../packages/router-plugin/src/wire/formats.ts'
import { anthropicClient, openAi } from './clients.ts'
import { SHAPES } from './shapes.ts'
import type { Shape } from './shapes.ts'
import { watch } from './watched.ts'
import type { Watched } from './watched.ts'

const POLICY = `budgets: { daily_limit_usd: 100.00 }
backends: { claude: { models: [claude-sonnet-4-20250514] }, gpt: { models: [gpt-4.1] }, gemini: { models: [gemini-2.5-pro] } }
`
const PATIENT = { retries: 0, timeoutMs: undefined }
/** Where pieces of an answer are torn apart: inside an event, a number, a character. */
const PIECE = 37

let manciple: Watched
let url: string
let playing: Shape
const server = createServer((request, answer) => {
  request.resume()
  request.on('end', () => {
    answer.writeHead(200, { 'content-type': playing.stream ? 'text/event-stream; charset=utf-8' : 'application/json' })
    const bytes = Buffer.from(playing.body)
    for (let from = 0; from < bytes.length; from += PIECE) answer.write(bytes.subarray(from, from + PIECE))
    answer.end()
  })
})

beforeAll(async () => {
  manciple = await watch(POLICY)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  url = typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : ''
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await manciple.open.close()
})

/** What the official client makes of the answer: every event, or the whole. */
async function seenBy(shape: Shape, send: typeof fetch): Promise<unknown> {
  const ask = { messages: [{ role: 'user' as const, content: 'What does a manciple buy?' }], max_tokens: 500 }
  switch (shape.format) {
    case 'openai-chat':
      return listOf(
        await openAi(`${url}/gpt/v1`, PATIENT, { fetch: send }).chat.completions.create({
          ...ask,
          model: 'gpt-4.1',
          stream: true,
          stream_options: { include_usage: true },
        }),
      )
    case 'openai-responses':
      return listOf(await openAi(`${url}/gpt/v1`, PATIENT, { fetch: send }).responses.create({ model: 'gpt-4.1', input: 'What?', stream: true }))
    case 'anthropic': {
      const { messages } = anthropicClient(`${url}/claude`, PATIENT, { fetch: send })
      const request = { ...ask, model: 'claude-sonnet-4-20250514' }
      return shape.stream ? listOf(await messages.create({ ...request, stream: true })) : messages.create(request)
    }
    default: {
      // Google's SDK takes no `fetch`: what it would get.
      const method = shape.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'
      const body = JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'What?' }] }] })
      const answer = await send(`${url}/gemini/v1beta/models/gemini-2.5-pro:${method}`, { method: 'POST', body })
      return answer.text()
    }
  }
}

async function listOf<T>(events: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const event of events) list.push(event)
  return list
}

describe('an answer in the shape of', () => {
  test.each(SHAPES)('$name: reaches its client untouched and is billed by what it says', async (shape) => {
    playing = shape
    const backends = { gpt: { url: `${url}/gpt` }, claude: { url: `${url}/claude` }, gemini: { url: `${url}/gemini` } }
    const bare = await seenBy(shape, fetch)
    const metered = await seenBy(shape, budgetedFetch(manciple, { backends }))
    expect(metered).toEqual(bare)
    expect(await manciple.entry()).toMatchObject({
      status: 'ok',
      usage_source: 'reported',
      prompt_tokens: shape.usage.inputTokens,
      completion_tokens: shape.usage.outputTokens,
      cache_read_tokens: shape.usage.cacheReadTokens,
      cache_write_tokens: shape.usage.cacheWriteTokens,
      reasoning_tokens: shape.usage.reasoningTokens,
    })
    expect(manciple.entries).toHaveLength(manciple.requests.length)
  })
})

interface PriceList {
  findProvider(options: { readonly providerId: string }): object | undefined
  extractUsage(provider: object | undefined, answer: unknown, flavor?: string): { readonly usage: Readonly<Record<string, number | undefined>> }
}
const { findProvider, extractUsage } = createRequire(new URL('../../packages/core/package.json', import.meta.url))('@pydantic/genai-prices') as PriceList

/** Whole answers whose usage the price list's own reader understands too. */
const ORACLE = [
  {
    format: 'openai-chat',
    provider: 'openai',
    flavor: 'chat',
    answer: {
      model: 'gpt-4.1',
      usage: { prompt_tokens: 50, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 16 }, completion_tokens_details: { reasoning_tokens: 7 } },
    },
  },
  {
    format: 'openai-responses',
    provider: 'openai',
    flavor: 'responses',
    answer: {
      model: 'gpt-4.1',
      usage: { input_tokens: 50, output_tokens: 20, input_tokens_details: { cached_tokens: 16 }, output_tokens_details: { reasoning_tokens: 7 } },
    },
  },
  {
    format: 'anthropic',
    provider: 'anthropic',
    flavor: 'default',
    answer: {
      model: 'claude-sonnet-4-20250514',
      usage: { input_tokens: 10, cache_read_input_tokens: 100, cache_creation_input_tokens: 50, output_tokens: 7 },
    },
  },
  {
    format: 'gemini',
    provider: 'google',
    flavor: 'default',
    answer: {
      modelVersion: 'gemini-2.5-pro',
      usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, thoughtsTokenCount: 7, cachedContentTokenCount: 3, toolUsePromptTokenCount: 6 },
    },
  },
  {
    format: 'embeddings',
    provider: 'openai',
    flavor: 'embeddings',
    answer: { model: 'text-embedding-3-small', usage: { prompt_tokens: 10, total_tokens: 10 } },
  },
] as const

test.each(ORACLE)('$format: usage is read as the price list reads it', ({ format, provider, flavor, answer }) => {
  const theirs = extractUsage(findProvider({ providerId: provider }), answer, flavor).usage
  const ours: Usage | undefined = FORMATS.find(({ name }) => name === format)?.usageOf(answer)
  expect({ cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0, ...ours }).toEqual({
    inputTokens: theirs['input_tokens'],
    outputTokens: theirs['output_tokens'] ?? 0,
    cacheReadTokens: theirs['cache_read_tokens'] ?? 0,
    cacheWriteTokens: theirs['cache_write_tokens'] ?? 0,
    reasoningTokens: theirs['output_reasoning_tokens'] ?? 0,
  })
})
