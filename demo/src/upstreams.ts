import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * How a stub behaves: `up`; `down` (status 503); `refuse` (closes the connection before any answer); `mute` (leaves out the usage);
 * `cut` (breaks off in the middle of its answer, still counted as served); `endless` (a stream that ends without its last line).
 */
export const MODES = ['up', 'down', 'refuse', 'mute', 'cut', 'endless'] as const
export type Mode = (typeof MODES)[number]

/** What a stub really served: the truth that the books are held against. */
export interface Served {
  calls: number
  promptTokens: number
  completionTokens: number
  /** Calls turned away in `down` or `refuse`. */
  failures: number
}

/** A stub of an OpenAI-compatible provider on this machine. */
export interface Upstream {
  readonly name: string
  /** Base URL, with `/v1`. `POST /__outage {"mode":"down"}` beside it does what {@link Upstream.behave} does. */
  readonly url: string
  readonly served: Readonly<Served>
  behave(mode: Mode): void
  close(): Promise<void>
}

export interface UpstreamOptions {
  readonly name: string
  /** Before an answer, and between the chunks of a stream. Ms. */
  readonly latencyMs: number
}

/** The usage that a request asks its stub to report, as JSON in its last message: how traffic drives a stub to exact token counts. */
export interface WantedUsage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly cached_tokens?: number
  readonly reasoning_tokens?: number
}

interface ChatRequest {
  readonly model?: string
  readonly stream?: boolean
  readonly max_tokens?: number
  readonly max_completion_tokens?: number
  readonly messages?: readonly { readonly content?: unknown }[]
}

interface Answer {
  readonly usage: object | undefined
  readonly text: string
  readonly reason: 'stop' | 'length'
  readonly promptTokens: number
  readonly completionTokens: number
}

const CHUNKS = 4
const WORDS = 'bread malt candles firewood wine cloth fish salt '

/** Starts a stub on a free port of 127.0.0.1. */
export async function startUpstream({ name, latencyMs }: UpstreamOptions): Promise<Upstream> {
  const served: Served = { calls: 0, promptTokens: 0, completionTokens: 0, failures: 0 }
  let mode: Mode = 'up'
  const behave = (wanted: Mode): void => {
    mode = wanted
  }
  const server = createServer((request, response) => {
    respond(request, response).catch(() => response.destroy())
  })

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request)
    if (request.url === '/__outage') {
      const wanted = MODES.find((one) => body.includes(`"${one}"`))
      if (wanted !== undefined) behave(wanted)
      json(response, wanted === undefined ? 400 : 200, { mode, modes: MODES })
    } else if (request.url?.endsWith('/chat/completions') === true) await complete(JSON.parse(body), response)
    else json(response, 404, { error: { message: 'no such path' } })
  }

  async function complete(chat: ChatRequest, response: ServerResponse): Promise<void> {
    const now = mode
    await sleep(latencyMs)
    if (now === 'down' || now === 'refuse') {
      served.failures += 1
      if (now === 'refuse') response.destroy()
      else json(response, 503, { error: { message: `${name} is down`, type: 'server_error' } })
      return
    }
    const answer = answerOf(chat, now)
    served.calls += 1
    served.promptTokens += answer.promptTokens
    served.completionTokens += answer.completionTokens
    const head = { id: `chatcmpl-${name}-${served.calls}`, created: Math.floor(Date.now() / 1000), model: chat.model ?? name }
    if (chat.stream === true) await stream(answer, head, now, response)
    else plain(answer, head, now, response)
  }

  async function stream(answer: Answer, head: object, now: Mode, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (fields: object): boolean => response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...fields })}\n\n`)
    const size = Math.ceil(answer.text.length / CHUNKS)
    for (let part = 0; part < CHUNKS; part++) {
      const delta = { ...(part === 0 ? { role: 'assistant' } : {}), content: answer.text.slice(part * size, (part + 1) * size) }
      send({ choices: [{ index: 0, delta, finish_reason: null }] })
      await sleep(latencyMs)
      if (now === 'cut' && part === 1) {
        response.destroy()
        return
      }
    }
    send({ choices: [{ index: 0, delta: {}, finish_reason: answer.reason }] })
    if (answer.usage !== undefined) send({ choices: [], usage: answer.usage })
    response.end(now === 'endless' ? undefined : 'data: [DONE]\n\n')
  }

  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error(`the stub ${name} has no port`)
  return {
    name,
    url: `http://127.0.0.1:${address.port}/v1`,
    served,
    behave,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function plain(answer: Answer, head: object, mode: Mode, response: ServerResponse): void {
  const choices = [{ index: 0, message: { role: 'assistant', content: answer.text }, finish_reason: answer.reason }]
  const text = JSON.stringify({ ...head, object: 'chat.completion', choices, usage: answer.usage })
  if (mode !== 'cut') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(text)
    return
  }
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.write(text.slice(0, text.length / 2), () => response.destroy())
}

/** Like a real model: never more output than was allowed. */
function answerOf(chat: ChatRequest, mode: Mode): Answer {
  const content = chat.messages?.at(-1)?.content
  const text = typeof content === 'string' ? content : JSON.stringify(content ?? '')
  const wanted = wantedOf(text)
  const limit = chat.max_completion_tokens ?? chat.max_tokens ?? Number.POSITIVE_INFINITY
  const completionTokens = Math.min(wanted.completion_tokens, limit)
  const { prompt_tokens: promptTokens, cached_tokens: cached, reasoning_tokens: reasoning } = wanted
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
    ...(reasoning === undefined ? {} : { completion_tokens_details: { reasoning_tokens: Math.min(reasoning, completionTokens) } }),
  }
  return {
    usage: mode === 'mute' ? undefined : usage,
    text: WORDS.repeat(Math.ceil((completionTokens * 4) / WORDS.length)).slice(0, completionTokens * 4),
    reason: completionTokens < wanted.completion_tokens ? 'length' : 'stop',
    promptTokens,
    completionTokens,
  }
}

/** A request that does not say what it wants gets about what its length suggests. */
function wantedOf(text: string): WantedUsage {
  if (text.startsWith('{"prompt_tokens":')) {
    try {
      return JSON.parse(text)
    } catch {
      // Not from our traffic: a user's own prompt that happens to begin like this.
    }
  }
  return { prompt_tokens: Math.ceil(text.length / 4) + 8, completion_tokens: 60 }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const part of request.setEncoding('utf8')) body += String(part)
  return body
}

function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
