import type { FakeUsage } from '@manciple/router-plugin/conformance'
import { answerOf, eventText, streamOf } from '../../packages/router-plugin/src/conformance-wire.ts'
import fc from 'fast-check'

/** What a provider does with one attempt. `part`: how much of the answer comes before it, of {@link PARTS}. */
export type Deed =
  | { readonly does: 'serve'; readonly reports: boolean }
  | { readonly does: 'turn away'; readonly status: 400 | 401 | 429 | 500 | 529 }
  | { readonly does: 'time out' }
  | { readonly does: 'refuse' }
  | { readonly does: 'cut' | 'fail'; readonly part: number }
  /** The client goes away: by its signal, or by leaving the stream. */
  | { readonly does: 'lose the client'; readonly part: number; readonly by: 'signal' | 'cancel' }

export interface History {
  readonly format: 'openai-chat' | 'openai-responses' | 'anthropic' | 'gemini'
  readonly stream: boolean
  /** The model reasons where its stream does not show it. */
  readonly reasons: boolean
  readonly usage: FakeUsage
  /** Attempt by attempt; the client tries again until one is served. */
  readonly deeds: readonly Deed[]
  readonly failover: boolean
  /** Bytes in a piece of the stream: events are torn apart. */
  readonly piece: number
}

const PARTS = 4

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { arbitrary: fc.record({ does: fc.constant('serve' as const), reports: fc.boolean() }), weight: 3 },
  fc.record({ does: fc.constant('turn away' as const), status: fc.constantFrom(400 as const, 401 as const, 429 as const, 500 as const, 529 as const) }),
  fc.record({ does: fc.constant('time out' as const) }),
  fc.record({ does: fc.constant('refuse' as const) }),
  fc.record({ does: fc.constantFrom('cut' as const, 'fail' as const), part: fc.nat(PARTS) }),
  fc.record({ does: fc.constant('lose the client' as const), part: fc.nat(PARTS), by: fc.constantFrom('signal' as const, 'cancel' as const) }),
)

const usage: fc.Arbitrary<FakeUsage> = fc
  .record({
    fresh: fc.integer({ min: 1, max: 500 }),
    cacheReadTokens: fc.nat(300),
    cacheWriteTokens: fc.nat(250),
    visible: fc.nat(60),
    reasoningTokens: fc.nat(80),
  })
  .map(({ fresh, visible, ...rest }) => ({
    ...rest,
    inputTokens: fresh + rest.cacheReadTokens + rest.cacheWriteTokens,
    outputTokens: visible + rest.reasoningTokens,
  }))

export const history: fc.Arbitrary<History> = fc
  .record({
    format: fc.constantFrom('openai-chat' as const, 'openai-responses' as const, 'anthropic' as const, 'gemini' as const),
    stream: fc.boolean(),
    reasons: fc.boolean(),
    usage,
    deeds: fc.array(deed, { minLength: 1, maxLength: 4 }),
    failover: fc.boolean(),
    piece: fc.integer({ min: 16, max: 400 }),
  })
  .map((one) => ({ ...one, usage: sayable(one) }))

/** What the format can say: OpenAI and Google report no cache writes, and a model that does not reason has no reasoning. */
function sayable({ format, reasons, usage: wanted }: Pick<History, 'format' | 'reasons' | 'usage'>): FakeUsage {
  const reasoningTokens = reasons && format !== 'anthropic' ? wanted.reasoningTokens : 0
  const hidden = reasons ? wanted.reasoningTokens : 0
  const cacheWriteTokens = format === 'anthropic' ? wanted.cacheWriteTokens : 0
  return {
    ...wanted,
    cacheWriteTokens,
    inputTokens: wanted.inputTokens - wanted.cacheWriteTokens + cacheWriteTokens,
    outputTokens: wanted.outputTokens - wanted.reasoningTokens + hidden,
    reasoningTokens,
  }
}

/** What a provider has worked on, and whether its report of all of it has been sent. */
export interface Truth {
  input: number
  output: number
  reported: boolean
}

/** What comes of one attempt, piece by piece. `done` is told how far it has come before each piece. */
interface Script {
  readonly pieces: readonly { readonly bytes: Uint8Array; readonly truth: Truth }[]
  readonly end: 'close' | 'break' | 'hang'
}

/** The answer of a provider to one attempt, as `fetch` would give it, and its own count of what it has served. */
export function serve(one: History, deed: Deed, signal: AbortSignal | undefined, onPart: () => void): { answer: () => Promise<Response>; truth: Truth } {
  const truth: Truth = { input: 0, output: 0, reported: false }
  const answer = async (): Promise<Response> => {
    if (deed.does === 'refuse') throw new TypeError('fetch failed', { cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) })
    if (deed.does === 'turn away') return Response.json({ error: { message: 'no' } }, { status: deed.status })
    if (deed.does === 'time out') {
      Object.assign(truth, { input: one.usage.inputTokens, output: one.usage.outputTokens })
      return Response.json({ error: { message: 'too late' } }, { status: 504 })
    }
    const script = one.stream ? streamScript(one, deed) : plainScript(one, deed)
    if (script.pieces.length === 0 && script.end === 'hang') {
      Object.assign(truth, { input: one.usage.inputTokens, output: one.usage.outputTokens })
      onPart()
      return abortion(signal)
    }
    const type = one.stream ? 'text/event-stream' : 'application/json'
    return new Response(bodyOf(script, truth, signal, onPart), { headers: { 'content-type': type } })
  }
  return { answer, truth }
}

function abortion(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const go = (): void => {
      reject(new DOMException('aborted', 'AbortError'))
    }
    if (signal?.aborted === true) go()
    else signal?.addEventListener('abort', go)
  })
}

function bodyOf(script: Script, truth: Truth, signal: AbortSignal | undefined, onPart: () => void): ReadableStream<Uint8Array> {
  let next = 0
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        await new Promise((resolve) => {
          setImmediate(resolve)
        })
        const piece = script.pieces[next]
        next += 1
        if (signal?.aborted === true) controller.error(new DOMException('aborted', 'AbortError'))
        else if (piece !== undefined) {
          Object.assign(truth, piece.truth)
          controller.enqueue(piece.bytes)
        } else if (script.end === 'close') controller.close()
        else if (script.end === 'break') controller.error(new TypeError('terminated', { cause: new Error('other side closed') }))
        else {
          onPart()
          await abortion(signal).catch((error: unknown) => {
            controller.error(error)
          })
        }
      },
    },
    { highWaterMark: 0 },
  )
}

/** A plain answer has been worked out whole before its first byte is sent. */
function plainScript(one: History, deed: Deed): Script {
  const { model } = MODELS[one.format](one.reasons)
  const terms = { model, text: wordsOf(one), usage: reports(deed) ? one.usage : undefined }
  const bytes = Buffer.from(JSON.stringify(answerOf(one.format, terms)))
  const truth: Truth = { input: one.usage.inputTokens, output: one.usage.outputTokens, reported: false }
  const whole = tear(bytes, one.piece, () => truth)
  const last = whole.at(-1)
  if (deed.does === 'serve')
    return { pieces: last === undefined ? whole : [...whole.slice(0, -1), { ...last, truth: { ...truth, reported: deed.reports } }], end: 'close' }
  return { pieces: deed.does === 'fail' ? [] : whole.slice(0, Math.floor(whole.length / 2)), end: endOf(deed) }
}

function streamScript(one: History, deed: Deed): Script {
  const { model } = MODELS[one.format](one.reasons)
  const told = streamOf(one.format, { model, text: wordsOf(one), usage: reports(deed) ? one.usage : undefined }, false)
  const hidden = hiddenOf(one)
  const visible = one.usage.outputTokens - hidden
  const parts = 'part' in deed ? deed.part : PARTS
  const steps = [
    ...told.head.map((event) => ({ event, output: 0, reported: false })),
    ...told.parts.slice(0, parts).map((event, part) => ({ event, output: hidden + Math.ceil((visible * (part + 1)) / PARTS), reported: false })),
    ...(deed.does === 'serve' ? told.tail.map((event) => ({ event, output: one.usage.outputTokens, reported: false })) : []),
    ...(deed.does === 'fail' ? [{ event: told.error, output: parts === 0 ? 0 : hidden + Math.ceil((visible * parts) / PARTS), reported: false }] : []),
  ]
  const pieces = steps.flatMap(({ event, output }, index) => {
    const isLast = deed.does === 'serve' && deed.reports && index === steps.length - 1
    // A provider that fails before the first token that shows charges nothing.
    const worked = deed.does !== 'fail' || (deed.part > 0 && visible > 0)
    const truth: Truth = worked ? { input: one.usage.inputTokens, output, reported: isLast } : { input: 0, output: 0, reported: false }
    return tear(Buffer.from(eventText(event)), one.piece, (last) => (last ? truth : undefined))
  })
  let so: Truth = { input: 0, output: 0, reported: false }
  return { pieces: pieces.map(({ bytes, truth }) => ({ bytes, truth: (so = truth ?? so) })), end: endOf(deed) }
}

function tear<T>(bytes: Uint8Array, size: number, truth: (last: boolean) => T): { bytes: Uint8Array; truth: T }[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => {
    const to = (index + 1) * size
    return { bytes: bytes.slice(index * size, to), truth: truth(to >= bytes.length) }
  })
}

function reports(deed: Deed): boolean {
  return deed.does !== 'serve' || deed.reports
}

function endOf(deed: Deed): Script['end'] {
  if (deed.does === 'cut') return 'break'
  return deed.does === 'lose the client' ? 'hang' : 'close'
}

/** Anthropic's thinking is in its output, and not told apart. */
function hiddenOf(one: History): number {
  return one.format === 'anthropic' && one.reasons ? Math.floor(one.usage.outputTokens / 2) : one.usage.reasoningTokens
}

/** Each token a word of at least a byte. */
function wordsOf(one: History): string {
  return 'é '.repeat(one.usage.outputTokens - hiddenOf(one))
}

/** The model of a format, and the request that asks it. */
export const MODELS: Readonly<Record<History['format'], (reasons: boolean) => { readonly model: string; readonly url: string; readonly body: object }>> = {
  'openai-chat': (reasons) => {
    const model = reasons ? 'gpt-5' : 'gpt-4.1'
    return {
      model,
      url: 'https://api.openai.com/v1/chat/completions',
      body: { model, max_completion_tokens: 300, messages: [{ role: 'user', content: 'What?' }] },
    }
  },
  'openai-responses': (reasons) => {
    const model = reasons ? 'gpt-5' : 'gpt-4.1'
    return { model, url: 'https://api.openai.com/v1/responses', body: { model, max_output_tokens: 300, input: 'What?' } }
  },
  anthropic: (reasons) => {
    const model = 'claude-sonnet-4-20250514'
    const thinking = reasons ? { thinking: { type: 'enabled', budget_tokens: 200 } } : {}
    return {
      model,
      url: 'https://api.anthropic.com/v1/messages',
      body: { model, max_tokens: 300, ...thinking, cache_control: { type: 'ephemeral' }, messages: [{ role: 'user', content: 'What?' }] },
    }
  },
  gemini: (reasons) => {
    const model = reasons ? 'gemini-2.5-pro' : 'gemini-2.0-flash'
    const url = 'https://generativelanguage.googleapis.com/v1beta/models'
    return { model, url: `${url}/${model}`, body: { contents: [{ parts: [{ text: 'What?' }] }], generationConfig: { maxOutputTokens: 300 } } }
  },
}
