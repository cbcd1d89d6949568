import type { WireFormat, WireRequest } from './format.ts'
import { countOf, isJson, jsonOf, modelOf } from './json.ts'
import type { Json } from './json.ts'
import { errorBodyOfOpenAi } from './openai.ts'

/** OpenAI's embeddings, and all who copy them. Never rerouted: vectors of two models cannot be compared. */
export const embeddings: WireFormat = {
  name: 'embeddings',
  endpoint: /\/embeddings$/,
  fits: (body) => 'input' in body,
  read,
  rewrite: (body) => body,
  rewritePath: (path) => path,
  urlUnder: (base) => `${base}/embeddings`,
  usageOf(answer) {
    const usage = jsonOf(jsonOf(answer)?.['usage'])
    const inputTokens = countOf(usage?.['prompt_tokens'] ?? usage?.['total_tokens'])
    return inputTokens === undefined ? undefined : { inputTokens, outputTokens: 0 }
  },
  outputBytesOf: () => 0,
  reader: () => () => ({ outputBytes: 0 }),
  errorBody: errorBodyOfOpenAi,
}

function read(body: Json, path: string): WireRequest {
  const input = body['input']
  const isText = (value: unknown): boolean => ['string', 'number'].includes(typeof value) || (Array.isArray(value) && value.every(isText))
  return {
    model: modelOf(body['model'] ?? /\/deployments\/([^/]+)\//.exec(path)?.[1]),
    stream: false,
    messages: Array.isArray(input) ? input.length : 1,
    unbounded: isText(input) && !isJson(input) ? undefined : 'input other than text or tokens',
    tied: 'vectors that can be compared with those of the same model',
    maxOutputTokens: 0,
    minOutputTokens: 0,
    n: 1,
    hides: () => false,
    tools: false,
    asksForUsage: true,
    writesCache: () => false,
  }
}
