import type { Usage } from '@manciple/core'
import type { Orders, StreamStep, WireFormat, WireRequest } from './format.ts'
import { countOf, isJson, jsonOf, listOf, modelOf, optionalCount, textBytes, wishOf } from './json.ts'
import type { Json } from './json.ts'

/** Anthropic's messages. */
export const anthropic: WireFormat = {
  name: 'anthropic',
  endpoint: /\/messages$/,
  fits: (body) => Array.isArray(body['messages']) && 'max_tokens' in body,
  read,
  rewrite,
  rewritePath: (path) => path,
  // Its clients take a base without `/v1` and add it; OpenAI's take one with it.
  urlUnder: (base) => `${base.replace(/\/v1$/, '')}/v1/messages`,
  usageOf: (answer) => usageOfAnthropic(jsonOf(answer)?.['usage']),
  outputBytesOf: (answer) => textBytes(jsonOf(answer)?.['content'], NOT_OUTPUT),
  reader,
  errorBody: ({ status, code, message }) => ({ type: 'error', error: { type: ERROR_TYPES[status] ?? 'api_error', message, code } }),
}

const ERROR_TYPES: Readonly<Record<number, string>> = { 400: 'invalid_request_error', 429: 'rate_limit_error', 503: 'overloaded_error' }

/** Blocks of which every token is worth at least a byte. */
const BYTE_BOUND_BLOCKS: ReadonlySet<unknown> = new Set(['text', 'tool_use', 'tool_result', 'thinking', 'redacted_thinking', 'search_result'])

/** What makes the provider run a model on the same input more than once. */
const REPEATS = ['context_management', 'fallbacks'] as const

function read(body: Json): WireRequest {
  const messages = listOf(body['messages'])
  const tools = listOf(body['tools'])
  const thinking = jsonOf(body['thinking'])
  const thinks = thinking !== undefined && thinking['type'] !== 'disabled'
  // What hosted tools read, and the long preamble of `computer`, become input that no client sees.
  const hosted = tools.find(({ type }) => typeof type === 'string' && /^(?:web_|code_execution|mcp_toolset|tool_search|advisor|computer_)/.test(type))
  const hostedTool = hosted === undefined ? undefined : `the hosted tool ${String(hosted['type'])}`
  const servers = listOf(body['mcp_servers']).length > 0 ? 'mcp_servers' : undefined
  const repeats = REPEATS.find((field) => (body[field] ?? undefined) !== undefined)
  const budget = thinks ? wishOf(thinking, 'budget_tokens') : undefined
  return {
    model: modelOf(body['model']),
    stream: body['stream'] === true,
    messages: messages.length,
    unbounded:
      hostedTool ?? servers ?? (messages.every(({ content }) => boundByBytes(content)) ? undefined : 'content other than text, such as an image or a document'),
    tied: hostedTool ?? servers ?? repeats ?? (body['container'] === undefined ? undefined : 'container'),
    maxOutputTokens: wishOf(body, 'max_tokens'),
    // `max_tokens` must be above the budget.
    minOutputTokens: budget === undefined ? 0 : budget + 1,
    n: 1,
    // Thinking is billed whole and shown as a summary, or not at all.
    hides: () => thinks,
    tools: tools.length > 0,
    asksForUsage: true,
    writesCache: () => JSON.stringify(body).includes('"cache_control"'),
  }
}

function boundByBytes(content: unknown): boolean {
  if (!Array.isArray(content)) return true
  return content.every((item: unknown) => {
    const block = jsonOf(item)
    return block !== undefined && BYTE_BOUND_BLOCKS.has(block['type']) && (block['type'] !== 'tool_result' || boundByBytes(block['content']))
  })
}

function rewrite(body: Json, { model, maxOutputTokens }: Orders): Json {
  return { ...body, model, max_tokens: maxOutputTokens }
}

/** The input comes with `message_start`, the output with each `message_delta`: running counts, of which the last of each field stands. */
function reader(): (event: Json) => StreamStep {
  let raw: Json | undefined
  return (event) => {
    switch (event['type']) {
      case 'message_start':
        raw = jsonOf(jsonOf(event['message'])?.['usage'])
        return { outputBytes: 0, usage: usageOfAnthropic(raw) }
      case 'message_delta': {
        const usage = jsonOf(event['usage'])
        if (usage === undefined) return { outputBytes: 0 }
        raw = { ...raw, ...Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null)) }
        return { outputBytes: 0, usage: usageOfAnthropic(raw) }
      }
      case 'content_block_start':
        return { outputBytes: textBytes(event['content_block'], NOT_OUTPUT) }
      case 'content_block_delta':
        return { outputBytes: textBytes(event['delta'], NOT_OUTPUT) }
      case 'message_stop':
        return { outputBytes: 0, ended: true }
      case 'error':
        return { outputBytes: 0, failed: true }
      default:
        return { outputBytes: 0 }
    }
  }
}

/** `input_tokens` leaves out what was read from the cache and written to it: ours counts all. */
function usageOfAnthropic(raw: unknown): Usage | undefined {
  if (!isJson(raw)) return undefined
  const [fresh, outputTokens, cacheReadTokens, cacheWriteTokens] = FIELDS.map((field) => withIterations(raw, field))
  const reasoningTokens = optionalCount(jsonOf(raw['output_tokens_details'])?.['thinking_tokens'])
  if (fresh === undefined || outputTokens === undefined || cacheReadTokens === undefined || cacheWriteTokens === undefined) return undefined
  if (reasoningTokens === undefined || reasoningTokens > outputTokens) return undefined
  return { inputTokens: fresh + cacheReadTokens + cacheWriteTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }
}

const FIELDS = ['input_tokens', 'output_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens'] as const

/** A compaction, or another model that the provider asked or fell back to, is billed and stands in `iterations` alone. */
function withIterations(raw: Json, field: (typeof FIELDS)[number]): number | undefined {
  const own = field.startsWith('cache') ? optionalCount(raw[field]) : countOf(raw[field])
  const counts = listOf(raw['iterations']).map((iteration) => optionalCount(iteration[field]))
  const total = counts.reduce<number | undefined>((sum, count) => (sum === undefined || count === undefined ? undefined : sum + count), 0)
  return own === undefined || total === undefined ? undefined : Math.max(own, total)
}

const NOT_OUTPUT: ReadonlySet<string> = new Set(['type', 'id', 'index', 'signature', 'data', 'tool_use_id', 'citations'])
