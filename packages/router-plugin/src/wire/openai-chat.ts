import type { Usage } from '@manciple/core'
import type { Orders, StreamStep, WireFormat, WireRequest } from './format.ts'
import { countOf, isJson, jsonOf, listOf, modelOf, optionalCount, textBytes, wishOf } from './json.ts'
import type { Json } from './json.ts'
import { errorBodyOfOpenAi, mayHideReasoning, wantsCompletionTokens } from './openai.ts'

/** OpenAI's chat completions, and all who copy them. */
export const openAiChat: WireFormat = {
  name: 'openai-chat',
  endpoint: /\/chat\/completions$/,
  fits: (body) => Array.isArray(body['messages']),
  read,
  rewrite,
  rewritePath: (path, model) => path.replace(DEPLOYMENT, `/deployments/${encodeURIComponent(model)}/`),
  urlUnder: (base) => `${base}/chat/completions`,
  usageOf: (answer) => usageOfOpenAi(jsonOf(answer)?.['usage']),
  outputBytesOf: (answer) => listOf(jsonOf(answer)?.['choices']).reduce((bytes, choice) => bytes + textBytes(choice['message'], NOT_OUTPUT), 0),
  reader,
  errorBody: errorBodyOfOpenAi,
}

/** Azure names the model in the path. */
const DEPLOYMENT = /\/deployments\/([^/]+)\//

function read(body: Json, path: string): WireRequest {
  const messages = listOf(body['messages'])
  const model = modelOf(body['model'] ?? DEPLOYMENT.exec(path)?.[1])
  return {
    model,
    stream: body['stream'] === true,
    messages: messages.length,
    unbounded: unboundedPart(messages) ?? (body['web_search_options'] === undefined ? undefined : 'web_search_options'),
    tied: isJson(body['audio']) || body['web_search_options'] !== undefined ? 'audio or web search' : undefined,
    maxOutputTokens: wishOf(body, 'max_completion_tokens') ?? wishOf(body, 'max_tokens'),
    minOutputTokens: 0,
    n: wishOf(body, 'n') ?? 1,
    // Of a predicted output, what the model rejects is billed and not shown.
    hides: (taken) => mayHideReasoning(taken, body['reasoning_effort']) || isJson(body['prediction']),
    tools: [body['tools'], body['functions']].some((tools) => Array.isArray(tools) && tools.length > 0),
    asksForUsage: jsonOf(body['stream_options'])?.['include_usage'] === true,
    writesCache: () => false,
  }
}

function rewrite(body: Json, { model, maxOutputTokens }: Orders): Json {
  const { max_tokens: short, max_completion_tokens: long, ...rest } = body
  const sameModel = body['model'] === model
  const named = sameModel && (short ?? long ?? undefined) !== undefined
  const limits = {
    ...((named ? (short ?? undefined) !== undefined : !wantsCompletionTokens(model)) ? { max_tokens: maxOutputTokens } : {}),
    ...((named ? (long ?? undefined) !== undefined : wantsCompletionTokens(model)) ? { max_completion_tokens: maxOutputTokens } : {}),
  }
  const reporting = body['stream'] === true ? { stream_options: { ...jsonOf(body['stream_options']), include_usage: true } } : {}
  return { ...rest, ...('model' in body || !sameModel ? { model } : {}), ...limits, ...reporting }
}

/** Some send running counts in many chunks, and some leave the input out after the first. */
function reader(): (event: Json) => StreamStep {
  let usage: unknown
  let finished = false
  return (event) => {
    if (event['error'] !== undefined && event['error'] !== null) return { outputBytes: 0, failed: true }
    const outputBytesNow = outputBytes(event['choices'])
    finished ||= listOf(event['choices']).some((choice) => typeof choice['finish_reason'] === 'string')
    if (!isJson(event['usage'])) return { outputBytes: outputBytesNow, ended: finished }
    usage = joinUsage(usage, event['usage'])
    return { outputBytes: outputBytesNow, usage: usageOfOpenAi(usage), ended: finished }
  }
}

/**
 * The `usage` of an OpenAI-compatible answer as ours. Undefined where it is missing or contradicts itself:
 * then nothing is known, and the hold stands.
 */
export function usageOfOpenAi(raw: unknown): Usage | undefined {
  const usage = jsonOf(raw)
  const inputTokens = countOf(usage?.['prompt_tokens'])
  const outputTokens = countOf(usage?.['completion_tokens'])
  const cacheReadTokens = optionalCount(jsonOf(usage?.['prompt_tokens_details'])?.['cached_tokens'])
  const reasoningTokens = optionalCount(jsonOf(usage?.['completion_tokens_details'])?.['reasoning_tokens'])
  if (inputTokens === undefined || outputTokens === undefined || cacheReadTokens === undefined || reasoningTokens === undefined) return undefined
  if (cacheReadTokens > inputTokens || reasoningTokens > outputTokens) return undefined
  return { inputTokens, outputTokens, cacheReadTokens, reasoningTokens }
}

/**
 * Joins the usage of two chunks of one stream. OpenAI sends it once; others send running counts,
 * and some leave the input out after the first: each field keeps its largest value.
 */
export function joinUsage(before: unknown, raw: unknown): unknown {
  const usage = jsonOf(raw)
  if (usage === undefined) return before
  const joined: Record<string, unknown> = { ...jsonOf(before) }
  for (const [key, value] of Object.entries(usage)) {
    if (value === undefined || value === null) continue
    const known = joined[key]
    joined[key] = typeof value === 'number' && typeof known === 'number' ? Math.max(known, value) : value
  }
  return joined
}

/** Content parts of which every token is worth at least a byte. An image, a sound or a file may cost more tokens than its address has bytes. */
const BYTE_BOUND_PARTS: ReadonlySet<unknown> = new Set(['text', 'refusal', 'tool_use', 'tool_result'])

/** Whether the bytes of these messages bound their tokens. */
export function boundByBytes(messages: readonly unknown[]): boolean {
  return messages.every((message) => contentBoundByBytes(jsonOf(message)?.['content']))
}

function contentBoundByBytes(content: unknown): boolean {
  if (!Array.isArray(content)) return typeof content !== 'object' || content === null
  return content.every((item: unknown) => {
    const part = jsonOf(item)
    return part !== undefined && BYTE_BOUND_PARTS.has(part['type']) && (part['type'] !== 'tool_result' || contentBoundByBytes(part['content']))
  })
}

function unboundedPart(messages: readonly Json[]): string | undefined {
  return boundByBytes(messages) ? undefined : 'content other than text, such as an image, a sound or a file'
}

/** Bytes of output that one chunk of a stream brought: text, refusals, reasoning where it is shown, and the arguments of tools. */
export function outputBytes(choices: unknown): number {
  if (!Array.isArray(choices)) return 0
  let bytes = 0
  for (const choice of choices) bytes += textBytes(jsonOf(choice)?.['delta'], NOT_OUTPUT)
  return bytes
}

/** Fields of a delta or a message that the protocol adds and the model did not write. */
const NOT_OUTPUT: ReadonlySet<string> = new Set(['role', 'id', 'type', 'index', 'stop_reason', 'tool_call_id', 'annotations', 'obfuscation'])
