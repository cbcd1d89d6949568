import type { Usage } from '@manciple/core'

/** An answer in the shape in which a provider sends it, and what it says was used. */
export interface Shape {
  readonly name: string
  readonly format: 'openai-chat' | 'openai-responses' | 'anthropic' | 'gemini'
  readonly stream: boolean
  readonly body: string
  readonly usage: Required<Usage>
}

const used = (inputTokens: number, outputTokens: number, rest: Partial<Usage> = {}): Required<Usage> => ({
  inputTokens,
  outputTokens,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  ...rest,
})

const sse = (events: readonly (object | string)[], named = false): string =>
  events
    .map((event) => {
      const name = named && typeof event === 'object' && 'type' in event ? `event: ${String(event.type)}\n` : ''
      return `${name}data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`
    })
    .join('')

const chunk = (fields: object): object => ({
  id: 'chatcmpl-CQ1',
  object: 'chat.completion.chunk',
  created: 1_760_000_000,
  model: 'gpt-4.1-2025-04-14',
  service_tier: 'default',
  system_fingerprint: 'fp_e24a1fec47',
  ...fields,
})
const delta = (fields: object, reason: string | null = null): object => ({
  choices: [{ index: 0, delta: fields, logprobs: null, finish_reason: reason }],
  usage: null,
})
const details = { prompt_tokens_details: { cached_tokens: 1024, audio_tokens: 0 } }
const outputDetails = { completion_tokens_details: { reasoning_tokens: 64, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 } }

const CHAT: readonly Shape[] = [
  {
    name: 'OpenAI: null usage in each chunk, padding, the usage in a chunk of its own',
    format: 'openai-chat',
    stream: true,
    body: sse([
      chunk({ ...delta({ role: 'assistant', content: '', refusal: null }), obfuscation: 'aZ3' }),
      chunk({ ...delta({ content: 'Bread' }), obfuscation: '8hT2xQ' }),
      chunk({ ...delta({ content: ' and malt.' }), obfuscation: 'k' }),
      chunk({ ...delta({}, 'stop'), obfuscation: 'Vb1' }),
      chunk({ choices: [], usage: { prompt_tokens: 1117, completion_tokens: 90, total_tokens: 1207, ...details, ...outputDetails }, obfuscation: '' }),
      '[DONE]',
    ]),
    usage: used(1117, 90, { cacheReadTokens: 1024, reasoningTokens: 64 }),
  },
  {
    name: 'OpenAI: the arguments of a tool, in pieces',
    format: 'openai-chat',
    stream: true,
    body: sse([
      chunk(delta({ role: 'assistant', content: null, tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'buy', arguments: '' } }] })),
      chunk(delta({ tool_calls: [{ index: 0, function: { arguments: '{"item":' } }] })),
      chunk(delta({ tool_calls: [{ index: 0, function: { arguments: '"salt"}' } }] })),
      chunk(delta({}, 'tool_calls')),
      chunk({ choices: [], usage: { prompt_tokens: 61, completion_tokens: 15, total_tokens: 76 } }),
      '[DONE]',
    ]),
    usage: used(61, 15),
  },
  {
    name: 'Moonshot, DeepSeek: the usage with the last choice, and reasoning that is shown',
    format: 'openai-chat',
    stream: true,
    body: sse([
      chunk(delta({ role: 'assistant', content: null, reasoning_content: 'They buy' })),
      chunk(delta({ content: 'Wine.' })),
      chunk({
        choices: [{ index: 0, delta: { content: '' }, finish_reason: 'stop' }],
        usage: {
          prompt_tokens: 19,
          completion_tokens: 12,
          total_tokens: 31,
          prompt_tokens_details: { cached_tokens: 16 },
          completion_tokens_details: { reasoning_tokens: 5 },
        },
      }),
      '[DONE]',
    ]),
    usage: used(19, 12, { cacheReadTokens: 16, reasoningTokens: 5 }),
  },
  {
    name: 'vLLM, with running counts in each chunk',
    format: 'openai-chat',
    stream: true,
    body: sse([
      chunk({ ...delta({ role: 'assistant', content: '' }), usage: { prompt_tokens: 33, completion_tokens: 0, total_tokens: 33 } }),
      chunk({ ...delta({ content: 'Fish' }), usage: { prompt_tokens: 33, completion_tokens: 1, total_tokens: 34 } }),
      chunk({ ...delta({ content: '.' }, 'stop'), usage: { prompt_tokens: 33, completion_tokens: 2, total_tokens: 35 } }),
      chunk({ choices: [], usage: { prompt_tokens: 33, completion_tokens: 2, total_tokens: 35 } }),
      '[DONE]',
    ]),
    usage: used(33, 2),
  },
  {
    name: 'OpenRouter: comments between events, and carriage returns',
    format: 'openai-chat',
    stream: true,
    body: `: OPENROUTER PROCESSING\r\n\r\n${sse([
      chunk(delta({ role: 'assistant', content: 'Cloth' })),
      chunk(delta({}, 'stop')),
      chunk({
        choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
        usage: { prompt_tokens: 8, completion_tokens: 1, total_tokens: 9, cost: 0.00002 },
      }),
      '[DONE]',
    ]).replaceAll('\n', '\r\n')}`,
    usage: used(8, 1),
  },
]

const response = {
  id: 'resp_1',
  object: 'response',
  created_at: 1_760_000_000,
  error: null,
  incomplete_details: null,
  model: 'gpt-4.1',
  tools: [],
  output: [] as object[],
}
const RESPONSES: readonly Shape[] = [
  {
    name: 'OpenAI: a response that is completed',
    format: 'openai-responses',
    stream: true,
    body: sse(
      [
        { type: 'response.created', sequence_number: 0, response: { ...response, status: 'in_progress', usage: null } },
        {
          type: 'response.output_item.added',
          sequence_number: 1,
          output_index: 0,
          item: { id: 'msg_1', type: 'message', status: 'in_progress', content: [], role: 'assistant' },
        },
        {
          type: 'response.content_part.added',
          sequence_number: 2,
          item_id: 'msg_1',
          output_index: 0,
          content_index: 0,
          part: { type: 'output_text', annotations: [], text: '' },
        },
        {
          type: 'response.output_text.delta',
          sequence_number: 3,
          item_id: 'msg_1',
          output_index: 0,
          content_index: 0,
          delta: 'Candles',
          logprobs: [],
          obfuscation: 'w9',
        },
        { type: 'response.output_text.done', sequence_number: 4, item_id: 'msg_1', output_index: 0, content_index: 0, text: 'Candles', logprobs: [] },
        {
          type: 'response.completed',
          sequence_number: 5,
          response: {
            ...response,
            status: 'completed',
            usage: {
              input_tokens: 300,
              input_tokens_details: { cached_tokens: 256 },
              output_tokens: 40,
              output_tokens_details: { reasoning_tokens: 30 },
              total_tokens: 340,
            },
          },
        },
      ],
      true,
    ),
    usage: used(300, 40, { cacheReadTokens: 256, reasoningTokens: 30 }),
  },
  {
    name: 'OpenAI: a response that was cut at its output limit',
    format: 'openai-responses',
    stream: true,
    body: sse(
      [
        { type: 'response.created', sequence_number: 0, response: { ...response, status: 'in_progress', usage: null } },
        {
          type: 'response.incomplete',
          sequence_number: 1,
          response: {
            ...response,
            status: 'incomplete',
            incomplete_details: { reason: 'max_output_tokens' },
            usage: {
              input_tokens: 12,
              input_tokens_details: { cached_tokens: 0 },
              output_tokens: 200,
              output_tokens_details: { reasoning_tokens: 200 },
              total_tokens: 212,
            },
          },
        },
      ],
      true,
    ),
    usage: used(12, 200, { reasoningTokens: 200 }),
  },
]

const message = { id: 'msg_01', type: 'message', role: 'assistant', model: 'claude-sonnet-4-20250514', content: [], stop_reason: null, stop_sequence: null }
const text = (index: number, part: string): object => ({ type: 'content_block_delta', index, delta: { type: 'text_delta', text: part } })
const ANTHROPIC: readonly Shape[] = [
  {
    name: 'Anthropic: a cache read and written, counts that run on in message_delta',
    format: 'anthropic',
    stream: true,
    body: sse(
      [
        {
          type: 'message_start',
          message: {
            ...message,
            usage: {
              input_tokens: 25,
              cache_creation_input_tokens: 2051,
              cache_read_input_tokens: 18_432,
              cache_creation: { ephemeral_5m_input_tokens: 2051, ephemeral_1h_input_tokens: 0 },
              output_tokens: 2,
              service_tier: 'standard',
              inference_geo: 'global',
            },
          },
        },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        { type: 'ping' },
        text(0, 'Firewood'),
        text(0, ' too.'),
        { type: 'content_block_stop', index: 0 },
        {
          type: 'message_delta',
          delta: { stop_reason: 'end_turn', stop_sequence: null },
          usage: { input_tokens: 25, cache_creation_input_tokens: 2051, cache_read_input_tokens: 18_432, output_tokens: 6 },
        },
        { type: 'message_stop' },
      ],
      true,
    ),
    usage: used(20_508, 6, { cacheReadTokens: 18_432, cacheWriteTokens: 2051 }),
  },
  {
    name: 'Anthropic: thinking that is summarized, a tool, and input that grows',
    format: 'anthropic',
    stream: true,
    body: sse(
      [
        { type: 'message_start', message: { ...message, usage: { input_tokens: 43, output_tokens: 1 } } },
        { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Salt is low.' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'EsECCokBCBAYAipA' } },
        { type: 'content_block_stop', index: 0 },
        { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 'toolu_01', name: 'buy', input: {} } },
        { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"item":"salt"}' } },
        { type: 'content_block_stop', index: 1 },
        {
          type: 'message_delta',
          delta: { stop_reason: 'tool_use', stop_sequence: null },
          usage: { input_tokens: 61, output_tokens: 373, output_tokens_details: { thinking_tokens: 310 } },
        },
        { type: 'message_stop' },
      ],
      true,
    ),
    usage: used(61, 373, { reasoningTokens: 310 }),
  },
  {
    name: 'Anthropic: a plain answer after a compaction, which is billed beside it',
    format: 'anthropic',
    stream: false,
    body: JSON.stringify({
      ...message,
      content: [{ type: 'text', text: 'Fish.' }],
      stop_reason: 'end_turn',
      usage: {
        input_tokens: 900,
        output_tokens: 12,
        cache_read_input_tokens: 0,
        cache_creation_input_tokens: null,
        iterations: [
          { type: 'compaction', input_tokens: 150_000, output_tokens: 800, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
          { type: 'message', input_tokens: 900, output_tokens: 12, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
        ],
      },
    }),
    usage: used(150_900, 812),
  },
]

const candidate = (part: object, reason?: string): object => ({
  candidates: [{ content: { parts: [part], role: 'model' }, ...(reason === undefined ? {} : { finishReason: reason }), index: 0 }],
})
const GEMINI: readonly Shape[] = [
  {
    name: 'Google: counts that run through the chunks, thoughts beside the candidates, a cached prompt',
    format: 'gemini',
    stream: true,
    body: sse([
      {
        ...candidate({ text: 'Ale' }),
        usageMetadata: { promptTokenCount: 500, totalTokenCount: 590, cachedContentTokenCount: 450, thoughtsTokenCount: 90 },
        modelVersion: 'gemini-2.5-pro',
      },
      {
        ...candidate({ text: ' and bread.' }, 'STOP'),
        usageMetadata: {
          promptTokenCount: 500,
          candidatesTokenCount: 6,
          totalTokenCount: 596,
          cachedContentTokenCount: 450,
          thoughtsTokenCount: 90,
          promptTokensDetails: [{ modality: 'TEXT', tokenCount: 500 }],
        },
        modelVersion: 'gemini-2.5-pro',
      },
    ]),
    usage: used(500, 96, { cacheReadTokens: 450, reasoningTokens: 90 }),
  },
  {
    name: 'Google: what a hosted tool read counts as input',
    format: 'gemini',
    stream: false,
    body: JSON.stringify({
      ...candidate({ text: 'Tuesday.' }, 'STOP'),
      usageMetadata: { promptTokenCount: 20, candidatesTokenCount: 3, toolUsePromptTokenCount: 1200, totalTokenCount: 1223 },
      modelVersion: 'gemini-2.5-pro',
    }),
    usage: used(1220, 3),
  },
]

/** In the shapes of real answers, as recorded by the test suites of the providers' own and of others' clients; the words are ours. */
export const SHAPES: readonly Shape[] = [...CHAT, ...RESPONSES, ...ANTHROPIC, ...GEMINI]
