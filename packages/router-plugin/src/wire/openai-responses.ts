import type { Usage } from '@manciple/core'
import type { Orders, StreamStep, WireFormat, WireRequest } from './format.ts'
import { countOf, isJson, jsonOf, listOf, modelOf, optionalCount, textBytes, wishOf } from './json.ts'
import type { Json } from './json.ts'
import { errorBodyOfOpenAi, mayHideReasoning } from './openai.ts'

/** OpenAI's responses. */
export const openAiResponses: WireFormat = {
  name: 'openai-responses',
  endpoint: /\/responses$/,
  fits: (body) => 'model' in body || 'prompt' in body || 'input' in body,
  read,
  rewrite,
  rewritePath: (path) => path,
  urlUnder: (base) => `${base}/responses`,
  usageOf: (answer) => usageOfResponse(jsonOf(answer)?.['usage']),
  outputBytesOf: (answer) => textBytes(jsonOf(answer)?.['output'], NOT_OUTPUT),
  reader: () => step,
  errorBody: errorBodyOfOpenAi,
}

/** Parts of which every token is worth at least a byte. */
const BYTE_BOUND_PARTS: ReadonlySet<unknown> = new Set(['input_text', 'output_text', 'refusal', 'summary_text', 'reasoning_text', 'text'])
const BYTE_BOUND_ITEMS: ReadonlySet<unknown> = new Set([
  'message',
  'function_call',
  'function_call_output',
  'reasoning',
  'custom_tool_call',
  'custom_tool_call_output',
])
/** Tools that run at the client. What hosted ones read becomes input that no client sees. */
const CLIENT_TOOLS: ReadonlySet<unknown> = new Set(['function', 'custom', 'local_shell', 'apply_patch'])

function read(body: Json): WireRequest {
  const model = modelOf(body['model'])
  const input = listOf(body['input'])
  const tools = listOf(body['tools'])
  const stored = ['previous_response_id', 'conversation', 'prompt'].find((field) => (body[field] ?? undefined) !== undefined)
  const hosted = tools.find((tool) => !CLIENT_TOOLS.has(tool['type']))
  const hostedTool = hosted === undefined ? undefined : `the hosted tool ${String(hosted['type'])}`
  return {
    model,
    stream: body['stream'] === true,
    messages: Math.max(1, input.length),
    unbounded: stored ?? hostedTool ?? (input.every(itemBoundByBytes) ? undefined : 'content other than text, such as an image, a sound or a file'),
    tied: stored ?? hostedTool ?? (body['background'] === true ? 'background' : undefined),
    maxOutputTokens: wishOf(body, 'max_output_tokens'),
    minOutputTokens: 0,
    n: 1,
    hides: (taken) => mayHideReasoning(taken, jsonOf(body['reasoning'])?.['effort']),
    tools: tools.length > 0,
    asksForUsage: true,
    writesCache: () => false,
  }
}

function itemBoundByBytes(item: Json): boolean {
  if (item['type'] !== undefined && !BYTE_BOUND_ITEMS.has(item['type'])) return false
  return [item['content'], item['output']].every((content) => !Array.isArray(content) || content.every((part) => BYTE_BOUND_PARTS.has(jsonOf(part)?.['type'])))
}

function rewrite(body: Json, { model, maxOutputTokens }: Orders): Json {
  return { ...body, model, max_output_tokens: maxOutputTokens }
}

function step(event: Json): StreamStep {
  const type = String(event['type'])
  if (type === 'error' || type === 'response.failed') {
    return { outputBytes: 0, failed: true, usage: usageOfResponse(jsonOf(event['response'])?.['usage']) }
  }
  if (type === 'response.completed' || type === 'response.incomplete') {
    return { outputBytes: 0, ended: true, usage: usageOfResponse(jsonOf(event['response'])?.['usage']) }
  }
  if (type.endsWith('.delta')) return { outputBytes: textBytes(event['delta']) }
  // The name of a tool comes with its item, not in a delta.
  const name = type === 'response.output_item.added' ? jsonOf(event['item'])?.['name'] : undefined
  return { outputBytes: textBytes(name) }
}

function usageOfResponse(raw: unknown): Usage | undefined {
  if (!isJson(raw)) return undefined
  const inputTokens = countOf(raw['input_tokens'])
  const outputTokens = countOf(raw['output_tokens'])
  const cacheReadTokens = optionalCount(jsonOf(raw['input_tokens_details'])?.['cached_tokens'])
  const reasoningTokens = optionalCount(jsonOf(raw['output_tokens_details'])?.['reasoning_tokens'])
  if (inputTokens === undefined || outputTokens === undefined || cacheReadTokens === undefined || reasoningTokens === undefined) return undefined
  if (cacheReadTokens > inputTokens || reasoningTokens > outputTokens) return undefined
  return { inputTokens, outputTokens, cacheReadTokens, reasoningTokens }
}

const NOT_OUTPUT: ReadonlySet<string> = new Set(['id', 'type', 'status', 'role', 'call_id', 'annotations', 'logprobs', 'encrypted_content'])
