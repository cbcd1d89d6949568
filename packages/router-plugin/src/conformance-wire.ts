/** What a fake provider says it used. Input includes cached tokens, output includes reasoning, as in Manciple's own usage. */
export interface FakeUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens: number
  readonly cacheWriteTokens: number
  readonly reasoningTokens: number
}

/** Wire formats that the fake provider speaks, told by the path of the request. */
export type FakeFormat = 'openai-chat' | 'openai-responses' | 'anthropic' | 'gemini' | 'embeddings'

export interface AnswerTerms {
  readonly model: string
  readonly text: string
  /** Undefined: the provider leaves its usage out. */
  readonly usage: FakeUsage | undefined
}

/** One event of a stream: `event:` where the format has it, and `data:`. */
interface FakeEvent {
  readonly event?: string
  readonly data: object | string
}

/** A stream in the order in which it is sent. */
export interface FakeStream {
  /** Before the first token. */
  readonly head: readonly FakeEvent[]
  /** One for each part of the text. */
  readonly parts: readonly FakeEvent[]
  /** The last, with the usage. */
  readonly tail: readonly FakeEvent[]
  /** An error in the stream's own form. */
  readonly error: FakeEvent
}

/** How many events carry the text. */
export const PARTS = 4

export function formatOf(path: string): FakeFormat | undefined {
  if (path.endsWith('/chat/completions')) return 'openai-chat'
  if (path.endsWith('/responses')) return 'openai-responses'
  if (path.endsWith('/messages')) return 'anthropic'
  if (path.endsWith('/embeddings')) return 'embeddings'
  return /:(?:stream)?generateContent$/i.test(path) ? 'gemini' : undefined
}

export function eventText({ event, data }: FakeEvent): string {
  return `${event === undefined ? '' : `event: ${event}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
}

/** A whole answer. */
export function answerOf(format: FakeFormat, terms: AnswerTerms): object {
  return ANSWERS[format](terms)
}

/** A streamed answer. `embeddings` has none: it is answered whole. */
export function streamOf(format: Exclude<FakeFormat, 'embeddings'>, terms: AnswerTerms, usageTwice: boolean): FakeStream {
  return STREAMS[format](terms, partsOf(terms.text), usageTwice)
}

export function errorBody(format: FakeFormat, status: number): object {
  const message = `the fake provider answers ${status}`
  if (format === 'anthropic') return { type: 'error', error: { type: status === 529 ? 'overloaded_error' : 'api_error', message } }
  if (format === 'gemini') return { error: { code: status, message, status: 'UNAVAILABLE' } }
  return { error: { message, type: 'server_error', param: null, code: null } }
}

function partsOf(text: string): readonly string[] {
  const size = Math.ceil(text.length / PARTS)
  return Array.from({ length: PARTS }, (_, part) => text.slice(part * size, (part + 1) * size))
}

const CREATED = 1_760_000_000

const ANSWERS: Readonly<Record<FakeFormat, (terms: AnswerTerms) => object>> = {
  'openai-chat': ({ model, text, usage }) => ({
    id: 'chatcmpl-fake',
    object: 'chat.completion',
    created: CREATED,
    model,
    choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null, annotations: [] }, logprobs: null, finish_reason: 'stop' }],
    ...(usage === undefined ? {} : { usage: chatUsage(usage) }),
    service_tier: 'default',
    system_fingerprint: 'fp_fake',
  }),
  'openai-responses': (terms) => response(terms, 'completed'),
  anthropic: ({ model, text, usage }) => ({
    id: 'msg_fake',
    type: 'message',
    role: 'assistant',
    model,
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    ...(usage === undefined ? {} : { usage: anthropicUsage(usage) }),
  }),
  gemini: ({ model, text, usage }) => ({
    candidates: [{ content: { parts: [{ text }], role: 'model' }, finishReason: 'STOP', index: 0 }],
    ...(usage === undefined ? {} : { usageMetadata: geminiUsage(usage) }),
    modelVersion: model,
    responseId: 'fake',
  }),
  embeddings: ({ model, usage }) => ({
    object: 'list',
    data: [{ object: 'embedding', index: 0, embedding: [0.1, 0.2, 0.3] }],
    model,
    ...(usage === undefined ? {} : { usage: { prompt_tokens: usage.inputTokens, total_tokens: usage.inputTokens } }),
  }),
}

const STREAMS: Readonly<Record<Exclude<FakeFormat, 'embeddings'>, (terms: AnswerTerms, parts: readonly string[], usageTwice: boolean) => FakeStream>> = {
  'openai-chat': ({ model, usage }, parts, usageTwice) => {
    const chunk = (fields: object): FakeEvent => ({ data: { id: 'chatcmpl-fake', object: 'chat.completion.chunk', created: CREATED, model, ...fields } })
    const choice = (delta: object, reason: string | null = null): object => ({ choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] })
    const report = usage === undefined ? [] : [chunk({ choices: [], usage: chatUsage(usage) })]
    return {
      head: [chunk(choice({ role: 'assistant', content: '', refusal: null }))],
      parts: parts.map((content) => chunk(choice({ content }))),
      tail: [chunk(choice({}, 'stop')), ...report, ...(usageTwice ? report : []), { data: '[DONE]' }],
      error: { data: { error: { message: 'the fake provider broke off', type: 'server_error', param: null, code: null } } },
    }
  },
  'openai-responses': (terms, parts, usageTwice) => {
    const item = { id: 'msg_fake', type: 'message', status: 'in_progress', role: 'assistant', content: [] }
    const event = (type: string, fields: object): FakeEvent => ({ event: type, data: { type, sequence_number: 0, ...fields } })
    const place = { item_id: item.id, output_index: 0, content_index: 0 }
    const started = { ...terms, usage: undefined, text: '' }
    const completed = event('response.completed', { response: response(terms, 'completed') })
    return {
      head: [
        event('response.created', { response: response(started, 'in_progress') }),
        event('response.output_item.added', { output_index: 0, item }),
        event('response.content_part.added', { ...place, part: { type: 'output_text', text: '', annotations: [] } }),
      ],
      parts: parts.map((delta) => event('response.output_text.delta', { ...place, delta, logprobs: [] })),
      tail: [event('response.output_text.done', { ...place, text: terms.text }), completed, ...(usageTwice ? [completed] : [])],
      error: { event: 'error', data: { type: 'error', code: 'server_error', message: 'the fake provider broke off', param: null, sequence_number: 9 } },
    }
  },
  anthropic: ({ model, usage }, parts, usageTwice) => {
    const event = (type: string, fields: object): FakeEvent => ({ event: type, data: { type, ...fields } })
    const started = usage === undefined ? {} : { usage: { ...anthropicUsage(usage), output_tokens: 1 } }
    const message = { id: 'msg_fake', type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null, ...started }
    const ended = usage === undefined ? {} : { usage: usageTwice ? anthropicUsage(usage) : { output_tokens: usage.outputTokens } }
    return {
      head: [event('message_start', { message }), event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }), event('ping', {})],
      parts: parts.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
      tail: [
        event('content_block_stop', { index: 0 }),
        event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, ...ended }),
        event('message_stop', {}),
      ],
      error: event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
    }
  },
  gemini: ({ model, usage }, parts, usageTwice) => {
    const chunk = (text: string, outputTokens: number, last: boolean): FakeEvent => {
      const counted = usage !== undefined && (last || usageTwice) ? { usageMetadata: geminiUsage({ ...usage, outputTokens }) } : {}
      const candidate = { content: { parts: [{ text }], role: 'model' }, ...(last ? { finishReason: 'STOP' } : {}), index: 0 }
      return { data: { candidates: [candidate], ...counted, modelVersion: model, responseId: 'fake' } }
    }
    const output = usage?.outputTokens ?? 0
    return {
      head: [],
      parts: parts.map((text, part) => chunk(text, Math.floor((output * (part + 1)) / PARTS), false)),
      tail: [chunk('', output, true)],
      error: { data: { error: { code: 503, message: 'the fake provider broke off', status: 'UNAVAILABLE' } } },
    }
  },
}

function response({ model, text, usage }: AnswerTerms, status: string): object {
  const content = [{ type: 'output_text', text, annotations: [], logprobs: [] }]
  return {
    id: 'resp_fake',
    object: 'response',
    created_at: CREATED,
    status,
    error: null,
    incomplete_details: null,
    model,
    output: text === '' ? [] : [{ id: 'msg_fake', type: 'message', status, role: 'assistant', content }],
    usage:
      usage === undefined
        ? null
        : {
            input_tokens: usage.inputTokens,
            input_tokens_details: { cached_tokens: usage.cacheReadTokens },
            output_tokens: usage.outputTokens,
            output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
            total_tokens: usage.inputTokens + usage.outputTokens,
          },
  }
}

function chatUsage(usage: FakeUsage): object {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cacheReadTokens, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
  }
}

/** Anthropic counts cached input beside `input_tokens`, not in it. */
function anthropicUsage(usage: FakeUsage): object {
  return {
    input_tokens: usage.inputTokens - usage.cacheReadTokens - usage.cacheWriteTokens,
    cache_creation_input_tokens: usage.cacheWriteTokens,
    cache_read_input_tokens: usage.cacheReadTokens,
    output_tokens: usage.outputTokens,
    service_tier: 'standard',
  }
}

/** Google counts thoughts beside `candidatesTokenCount`, not in it. */
function geminiUsage(usage: FakeUsage): object {
  return {
    promptTokenCount: usage.inputTokens,
    candidatesTokenCount: usage.outputTokens - Math.min(usage.reasoningTokens, usage.outputTokens),
    ...(usage.reasoningTokens === 0 ? {} : { thoughtsTokenCount: Math.min(usage.reasoningTokens, usage.outputTokens) }),
    ...(usage.cacheReadTokens === 0 ? {} : { cachedContentTokenCount: usage.cacheReadTokens }),
    totalTokenCount: usage.inputTokens + usage.outputTokens,
  }
}
