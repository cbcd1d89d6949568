import { createServer } from 'node:http'

/** What a provider was sent. */
export interface ToolRequest {
  readonly max_tokens?: number
  readonly tools?: readonly unknown[]
  readonly thinking?: { readonly type: string; readonly budget_tokens?: number }
  readonly messages: readonly { readonly role: string; readonly content: unknown }[]
}

/** Prices bread: calls the tool `price_of` until its result is in the conversation, then answers. Speaks chat completions and messages, plain and streamed. */
export async function startToolProvider(): Promise<{ readonly url: string; readonly requests: ToolRequest[]; close(): Promise<void> }> {
  const requests: ToolRequest[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const part of request.setEncoding('utf8')) text += String(part)
    const body = JSON.parse(text) as ToolRequest & { stream?: boolean; model: string }
    requests.push(body)
    const anthropic = request.url?.endsWith('/messages') === true
    const done = body.messages.some(({ role, content }) => role === 'tool' || JSON.stringify(content).includes('tool_result'))
    const events = anthropic ? messagesAnswer(body.model, done) : chatAnswer(body.model, done)
    if (body.stream !== true) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(events.whole))
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events.stream) response.write(`${anthropic ? `event: ${String(event['type'])}\n` : ''}data: ${JSON.stringify(event)}\n\n`)
    response.end(anthropic ? '' : 'data: [DONE]\n\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Answer {
  readonly whole: object
  readonly stream: readonly Record<string, unknown>[]
}

const INPUT = '{"item":"bread"}'
const PRICE = '{"pence":2}'

function chatAnswer(model: string, done: boolean): Answer {
  const head = { id: 'c', object: 'chat.completion.chunk', created: 1, model }
  const usage = done
    ? {
        prompt_tokens: 80,
        completion_tokens: 12,
        total_tokens: 92,
        prompt_tokens_details: { cached_tokens: 50 },
        completion_tokens_details: { reasoning_tokens: 4 },
      }
    : { prompt_tokens: 60, completion_tokens: 9, total_tokens: 69 }
  const call = { id: 'call_1', type: 'function', function: { name: 'price_of', arguments: INPUT } }
  const reason = done ? 'stop' : 'tool_calls'
  const message = done ? { role: 'assistant', content: PRICE, reasoning_content: 'two pence' } : { role: 'assistant', content: null, tool_calls: [call] }
  const delta = done ? { content: PRICE } : { tool_calls: [{ index: 0, ...call }] }
  return {
    whole: { ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: reason }], usage },
    stream: [
      { ...head, choices: [{ index: 0, delta: { role: 'assistant', ...(done ? { reasoning_content: 'two pence' } : {}) }, finish_reason: null }] },
      { ...head, choices: [{ index: 0, delta, finish_reason: null }] },
      { ...head, choices: [{ index: 0, delta: {}, finish_reason: reason }] },
      { ...head, choices: [], usage },
    ],
  }
}

function messagesAnswer(model: string, done: boolean): Answer {
  const cached = { cache_read_input_tokens: done ? 50 : 0, cache_creation_input_tokens: done ? 10 : 0 }
  const usage = { input_tokens: done ? 20 : 60, ...cached, output_tokens: done ? 12 : 9 }
  const block = done ? { type: 'text', text: PRICE } : { type: 'tool_use', id: 'toolu_1', name: 'price_of', input: JSON.parse(INPUT) as object }
  const stop = { stop_reason: done ? 'end_turn' : 'tool_use', stop_sequence: null }
  const message = {
    id: 'm',
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { ...usage, output_tokens: 1 },
  }
  const delta = done ? { type: 'text_delta', text: PRICE } : { type: 'input_json_delta', partial_json: INPUT }
  return {
    whole: { ...message, content: [block], ...stop, usage },
    stream: [
      { type: 'message_start', message },
      { type: 'content_block_start', index: 0, content_block: done ? { type: 'text', text: '' } : { ...block, input: {} } },
      { type: 'content_block_delta', index: 0, delta },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: stop, usage: { output_tokens: usage.output_tokens } },
      { type: 'message_stop' },
    ],
  }
}
