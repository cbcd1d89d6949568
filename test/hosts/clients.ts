import Anthropic from '@anthropic-ai/sdk'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { generateText, streamText } from 'ai'
import OpenAI from 'openai'
import type { HostCall } from '@manciple/router-plugin/conformance'

type Patience = Pick<HostCall, 'retries' | 'timeoutMs'>

interface ClientTerms {
  readonly headers?: Record<string, string>
  readonly fetch?: typeof fetch
}

/** OpenAI's own SDK, with the patience that the call asks for. */
export function openAi(baseURL: string, patience: Patience, terms: ClientTerms): OpenAI {
  return new OpenAI(optionsOf(baseURL, patience, terms))
}

/** @returns the text of the answer. */
export async function askOpenAi(client: OpenAI, call: HostCall): Promise<string> {
  const { model, prompt, stream, maxOutputTokens } = call
  const request = { model, messages: [{ role: 'user' as const, content: prompt }], max_tokens: maxOutputTokens }
  const signal = patienceOf(call)
  if (!stream) {
    const answer = await client.chat.completions.create(request, { signal })
    return answer.choices[0]?.message.content ?? ''
  }
  const chunks = await client.chat.completions.create({ ...request, stream: true }, { signal })
  return textOf(chunks, (chunk) => chunk.choices[0]?.delta.content, call, signal)
}

/** The SDK's own time-out ends with the headers of the answer: what is to end with a slow body needs a signal. */
export function patienceOf({ signal, timeoutMs, retries }: Pick<HostCall, 'signal' | 'timeoutMs' | 'retries'>): AbortSignal {
  return timeoutMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(2 * timeoutMs + retries * 5000)])
}

/** Reads a stream to its end. The SDKs end an aborted one without an error. */
export async function textOf<T>(
  events: AsyncIterable<T>,
  partOf: (event: T) => string | null | undefined,
  call: HostCall,
  signal: AbortSignal,
): Promise<string> {
  let text = ''
  for await (const event of events) {
    const part = partOf(event) ?? ''
    text += part
    if (part !== '') call.onText()
  }
  signal.throwIfAborted()
  return text
}

/** OpenAI's own SDK, by responses. */
export async function askResponses(client: OpenAI, call: HostCall): Promise<string> {
  const { model, prompt, stream, maxOutputTokens } = call
  const request = { model, input: prompt, max_output_tokens: maxOutputTokens }
  const signal = patienceOf(call)
  if (!stream) return (await client.responses.create(request, { signal })).output_text
  const events = await client.responses.create({ ...request, stream: true }, { signal })
  return textOf(events, (event) => (event.type === 'response.output_text.delta' ? event.delta : undefined), call, signal)
}

/** Anthropic's own SDK. */
export function anthropicClient(baseURL: string, patience: Patience, terms: ClientTerms): Anthropic {
  return new Anthropic(optionsOf(baseURL, patience, terms))
}

/** Both SDKs come from one generator, and take the same. */
function optionsOf(baseURL: string, { retries, timeoutMs }: Patience, { headers, fetch }: ClientTerms) {
  return {
    apiKey: 'fake',
    baseURL,
    maxRetries: retries,
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    ...(headers === undefined ? {} : { defaultHeaders: headers }),
    ...(fetch === undefined ? {} : { fetch }),
  }
}

export async function askAnthropic(client: Anthropic, call: HostCall): Promise<string> {
  const { model, prompt, stream, maxOutputTokens } = call
  const request = { model, messages: [{ role: 'user' as const, content: prompt }], max_tokens: maxOutputTokens }
  const signal = patienceOf(call)
  if (!stream) {
    const { content } = await client.messages.create(request, { signal })
    return content.map((block) => (block.type === 'text' ? block.text : '')).join('')
  }
  const events = await client.messages.create({ ...request, stream: true }, { signal })
  return textOf(events, (event) => (event.type === 'content_block_delta' && event.delta.type === 'text_delta' ? event.delta.text : undefined), call, signal)
}

/** Google has no SDK that takes a `fetch` but the AI SDK's provider, which is called here by its own interface. */
export async function askGemini(origin: string, call: HostCall, { headers, fetch }: ClientTerms): Promise<string> {
  const provider = createGoogleGenerativeAI({
    apiKey: 'fake',
    baseURL: `${origin}/v1beta`,
    ...(headers === undefined ? {} : { headers }),
    ...(fetch === undefined ? {} : { fetch }),
  })
  const signal = patienceOf(call)
  const request = { model: provider(call.model), prompt: call.prompt, maxOutputTokens: call.maxOutputTokens, maxRetries: call.retries, abortSignal: signal }
  const timed = call.timeoutMs === undefined ? {} : { timeout: call.timeoutMs }
  if (!call.stream) return (await generateText({ ...request, ...timed })).text
  const { fullStream } = streamText({ ...request, ...timed, onError: () => {} })
  return textOf(
    fullStream,
    (part) => {
      if (part.type === 'error') throw part.error
      if (part.type === 'abort') throw new Error('the client went away')
      return part.type === 'text-delta' ? part.text : undefined
    },
    call,
    signal,
  )
}
