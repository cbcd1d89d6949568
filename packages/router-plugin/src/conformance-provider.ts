import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { answerOf, errorBody, eventText, formatOf, PARTS, streamOf } from './conformance-wire.ts'
import type { AnswerTerms, FakeFormat, FakeUsage } from './conformance-wire.ts'

/**
 * What a fake provider does with one request.
 * `answer`: serves it. `status`: turns it away. `refuse`: closes the connection before any answer. `silent`: never answers.
 * `stall`: sends half and no more. `cut`: sends half and closes the connection. `error-event`: sends half, then an error in the stream.
 * `error-first`: an error in the stream before any token. In a plain answer both are an answer of status 500.
 */
export interface Step {
  readonly does: 'answer' | 'status' | 'refuse' | 'silent' | 'stall' | 'cut' | 'error-event' | 'error-first'
  readonly status?: number
  /** In place of 100 tokens in and 20 out. */
  readonly usage?: Partial<FakeUsage>
  /** `once` unless given. */
  readonly reports?: 'once' | 'twice' | 'never'
  readonly headers?: Readonly<Record<string, string>>
}

/** What the provider did with one request: the truth that the books are held against. */
export interface Served {
  readonly format: FakeFormat
  readonly path: string
  readonly model: string
  readonly stream: boolean
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: IncomingMessage['headers']
  /** Tokens that it has worked on: none where it turned the request away. */
  inputTokens: number
  outputTokens: number
  /** Whether it has sent its usage to the end. */
  reported: boolean
}

/** A provider on this machine that speaks the real wire formats of OpenAI, Anthropic and Google, and misbehaves on demand. */
export interface FakeProvider {
  /** `http://127.0.0.1:…`, without a path. */
  readonly url: string
  /** Every request, in the order of arrival. */
  readonly served: readonly Served[]
  /** What to do with the requests to come, one step each; those beyond are answered. */
  script(...steps: readonly Step[]): void
  /** Resolves when a request that now waits, or the next, is stuck in a step that never ends: `silent` or `stall`. */
  stuck(): Promise<void>
  close(): Promise<void>
}

const USAGE: FakeUsage = { inputTokens: 100, outputTokens: 20, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeProvider(): Promise<FakeProvider> {
  const served: Served[] = []
  let steps: Step[] = []
  let stuck = Promise.withResolvers<void>()
  const server = createServer((request, response) => {
    respond(request, response).catch(() => response.destroy())
  })

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request)
    const path = (request.url ?? '').replace(/\?.*/, '')
    const format = formatOf(path)
    if (format === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"no such path"}}')
      return
    }
    const step = steps.shift() ?? { does: 'answer' }
    const record = recordOf(format, path, body, request)
    served.push(record)
    await serve(step, record, response)
  }

  async function serve(step: Step, record: Served, response: ServerResponse): Promise<void> {
    const usage = { ...USAGE, ...step.usage }
    const reports = step.reports !== 'never' && (!record.stream || asksForUsage(record))
    const terms: AnswerTerms = { model: record.model, text: 'bread '.repeat(usage.outputTokens), usage: reports ? usage : undefined }
    const type = record.stream ? 'text/event-stream' : 'application/json'
    if (step.does === 'refuse') response.destroy()
    else if (step.does === 'silent') {
      work(record, usage, 1)
      stuck.resolve()
    } else if (step.does === 'status' || (!record.stream && step.does.startsWith('error-'))) {
      const status = step.status ?? 500
      response.writeHead(status, { 'content-type': 'application/json', ...step.headers }).end(JSON.stringify(errorBody(record.format, status)))
    } else {
      response.writeHead(200, { 'content-type': type, ...step.headers })
      if (record.stream) await stream(step, record, response, terms, usage)
      else await plain(step, record, response, terms, usage)
    }
  }

  /** The whole answer has been worked out before its first byte is sent. */
  async function plain(step: Step, record: Served, response: ServerResponse, terms: AnswerTerms, usage: FakeUsage): Promise<void> {
    const text = JSON.stringify(answerOf(record.format, terms))
    work(record, usage, 1)
    if (step.does === 'answer') {
      record.reported = terms.usage !== undefined
      response.end(text)
      return
    }
    await sent(response, text.slice(0, text.length / 2))
    if (step.does === 'stall') stuck.resolve()
    else response.destroy()
  }

  async function stream(step: Step, record: Served, response: ServerResponse, terms: AnswerTerms, usage: FakeUsage): Promise<void> {
    if (record.format === 'embeddings') throw new Error('embeddings are not streamed')
    const told = streamOf(record.format, terms, step.reports === 'twice')
    if (step.does === 'error-first') {
      response.end(eventText(told.error))
      return
    }
    for (const event of told.head) response.write(eventText(event))
    const cutAt = step.does === 'answer' ? PARTS : PARTS / 2
    for (const [part, event] of told.parts.slice(0, cutAt).entries()) {
      work(record, usage, (part + 1) / PARTS)
      await sent(response, eventText(event))
    }
    if (step.does === 'stall') stuck.resolve()
    else if (step.does === 'cut') response.destroy()
    else if (step.does === 'error-event') response.end(eventText(told.error))
    else {
      record.reported = terms.usage !== undefined
      response.end(told.tail.map(eventText).join(''))
    }
  }

  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the fake provider has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    served,
    script(...wanted) {
      steps = [...wanted]
      stuck = Promise.withResolvers()
    },
    stuck: () => stuck.promise,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** OpenAI reports the usage of a stream of chat completions to those who ask for it. */
function asksForUsage({ format, body }: Served): boolean {
  return format !== 'openai-chat' || JSON.stringify(body['stream_options'] ?? '').includes('"include_usage":true')
}

function work(record: Served, usage: FakeUsage, share: number): void {
  record.inputTokens = usage.inputTokens
  record.outputTokens = Math.ceil(usage.outputTokens * share)
}

/** A chunk of its own for whoever reads: the socket has taken it, and a turn has passed. */
async function sent(response: ServerResponse, text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    response.write(text, () => {
      resolve()
    })
  })
  await turn()
}

function recordOf(format: FakeFormat, path: string, body: Readonly<Record<string, unknown>>, { headers }: IncomingMessage): Served {
  const model = format === 'gemini' ? /models\/([^:]+):/.exec(path)?.[1] : body['model']
  const stream = format === 'gemini' ? path.includes(':stream') : body['stream'] === true
  return { format, path, model: String(model), stream, body, headers, inputTokens: 0, outputTokens: 0, reported: false }
}

async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  let body = ''
  for await (const part of request.setEncoding('utf8')) body += String(part)
  return body === '' ? {} : JSON.parse(body)
}
