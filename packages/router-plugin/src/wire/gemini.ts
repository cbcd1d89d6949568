import type { Usage } from '@manciple/core'
import type { Orders, StreamStep, WireFormat, WireRequest } from './format.ts'
import { countOf, isJson, jsonOf, listOf, modelOf, optionalCount, textBytes, wishOf } from './json.ts'
import type { Json } from './json.ts'

/** Google's `generateContent` and `streamGenerateContent`. */
export const gemini: WireFormat = {
  name: 'gemini',
  endpoint: /\/models\/[^/:]+:(?:generateContent|streamGenerateContent)$/,
  fits: (body) => Array.isArray(body['contents']),
  read,
  rewrite,
  rewritePath: (path, model) => path.replace(MODEL, `/models/${encodeURIComponent(model)}:`),
  urlUnder: (base, path) => `${base.replace(/\/v1\w*$/, '')}${/\/v1\w*\/models\/.*$/.exec(path)?.[0] ?? path}`,
  usageOf: (answer) => usageOfGemini(jsonOf(lastOf(answer))?.['usageMetadata']),
  outputBytesOf: (answer) => [answer].flat().reduce((bytes: number, part) => bytes + outputBytes(jsonOf(part)), 0),
  reader,
  errorBody: ({ status, code, message }) => ({
    error: { code: status, message, status: STATUSES[status] ?? 'INTERNAL', details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code }] },
  }),
}

const MODEL = /\/models\/([^/:]+):/
const STATUSES: Readonly<Record<number, string>> = { 400: 'INVALID_ARGUMENT', 429: 'RESOURCE_EXHAUSTED', 503: 'UNAVAILABLE' }
const CLIENT_TOOLS: ReadonlySet<string> = new Set(['functionDeclarations', 'function_declarations'])
const BYTE_BOUND_PARTS: ReadonlySet<string> = new Set([
  'text',
  'thought',
  'thoughtSignature',
  'functionCall',
  'functionResponse',
  'function_call',
  'function_response',
  'executableCode',
  'codeExecutionResult',
])

/** Google's REST takes both spellings of a field. */
function fieldOf(json: Json | undefined, camel: string): unknown {
  return json?.[camel] ?? json?.[camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]
}

function read(body: Json, path: string): WireRequest {
  const model = modelOf(decodeURIComponent(MODEL.exec(path)?.[1] ?? ''))
  const config = jsonOf(fieldOf(body, 'generationConfig'))
  const thinking = jsonOf(fieldOf(config, 'thinkingConfig'))
  const budget = fieldOf(thinking, 'thinkingBudget')
  const contents = listOf(body['contents'])
  const tools = listOf(body['tools'])
  const hosted = tools.flatMap((tool) => Object.keys(tool)).find((name) => !CLIENT_TOOLS.has(name))
  const cached = fieldOf(body, 'cachedContent') === undefined ? undefined : 'cachedContent'
  const hostedTool = hosted === undefined ? undefined : `the hosted tool ${hosted}`
  const parts = contents.flatMap((content) => listOf(content['parts']))
  const bound = parts.every((part) => Object.keys(part).every((key) => BYTE_BOUND_PARTS.has(key)))
  return {
    model,
    stream: path.endsWith(':streamGenerateContent'),
    messages: contents.length,
    unbounded: cached ?? hostedTool ?? (bound ? undefined : 'content other than text, such as an image, a sound or a file'),
    tied: cached ?? hostedTool,
    maxOutputTokens: wishOf({ maxOutputTokens: fieldOf(config, 'maxOutputTokens') }, 'maxOutputTokens'),
    minOutputTokens: typeof budget === 'number' && budget > 0 ? budget : 0,
    n: wishOf({ candidateCount: fieldOf(config, 'candidateCount') }, 'candidateCount') ?? 1,
    hides: (taken) => budget !== 0 && !/^gemini-(?:1|2\.0)/.test(taken),
    tools: tools.length > 0,
    asksForUsage: true,
    writesCache: () => false,
  }
}

function rewrite(body: Json, { maxOutputTokens }: Orders): Json {
  const { generationConfig, generation_config: snake, ...rest } = body
  const { max_output_tokens: _, ...config } = { ...jsonOf(snake), ...jsonOf(generationConfig) }
  return { ...rest, generationConfig: { ...config, maxOutputTokens } }
}

/** Counts run through the chunks; those of a chunk without output may leave it out. */
function reader(): (event: Json) => StreamStep {
  let raw: Json | undefined
  return (event) => {
    if (event['error'] !== undefined) return { outputBytes: 0, failed: true }
    const usage = jsonOf(event['usageMetadata'])
    const ended = listOf(event['candidates']).some((candidate) => typeof candidate['finishReason'] === 'string') || isBlocked(event)
    if (usage === undefined) return { outputBytes: outputBytes(event), ended }
    raw = { ...raw, ...usage }
    return { outputBytes: outputBytes(event), usage: usageOfGemini(raw), ended }
  }
}

function isBlocked(event: Json): boolean {
  return jsonOf(event['promptFeedback'])?.['blockReason'] !== undefined
}

function outputBytes(event: Json | undefined): number {
  return listOf(event?.['candidates']).reduce((bytes, candidate) => bytes + textBytes(jsonOf(candidate['content'])?.['parts'], NOT_OUTPUT), 0)
}

const NOT_OUTPUT: ReadonlySet<string> = new Set(['thoughtSignature', 'id'])

/** `candidatesTokenCount` leaves out the thoughts, and `promptTokenCount` what tools brought in: ours counts all. */
function usageOfGemini(raw: unknown): Usage | undefined {
  if (!isJson(raw)) return undefined
  const prompt = countOf(raw['promptTokenCount'])
  const tools = optionalCount(raw['toolUsePromptTokenCount'])
  const candidates = optionalCount(raw['candidatesTokenCount'])
  const reasoningTokens = optionalCount(raw['thoughtsTokenCount'])
  const cacheReadTokens = optionalCount(raw['cachedContentTokenCount'])
  if (prompt === undefined || tools === undefined || candidates === undefined || reasoningTokens === undefined || cacheReadTokens === undefined)
    return undefined
  const inputTokens = prompt + tools
  if (cacheReadTokens > inputTokens) return undefined
  return { inputTokens, outputTokens: candidates + reasoningTokens, cacheReadTokens, reasoningTokens }
}

/** Without `alt=sse` a stream is one JSON list, of which the last chunk has the counts. */
function lastOf(answer: unknown): unknown {
  return Array.isArray(answer) ? answer.findLast((chunk) => jsonOf(chunk)?.['usageMetadata'] !== undefined) : answer
}
