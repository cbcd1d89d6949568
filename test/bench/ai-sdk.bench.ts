import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider'
import { openManciple } from '@manciple/core'
import { budgeted } from '@manciple/router-plugin/ai-sdk'
import { generateText } from 'ai'

interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
}

interface Compared {
  readonly without: Latency
  readonly with: Latency
  readonly added_p50_ms: number
}

export interface AiSdkFigures {
  readonly calls: number
  /** `generateText` of a model that answers at once. */
  readonly call: Compared
  /** From the call of `doStream` to the first token, of a model that begins at once. */
  readonly first_token: Compared
  /** 10 MB of text in deltas of 64 bytes, as fast as they are read. MB a second. */
  readonly stream: { readonly without_mb_s: number; readonly with_mb_s: number }
}

const MODEL = 'claude-sonnet-4-20250514'
const POLICY = `budgets: { daily_limit_usd: 1000000.00 }
backends:
  claude: { models: [${MODEL}] }
`
const WARM_UP = 200
const MEGABYTE = 1_000_000
const DELTA = 'x'.repeat(64)

const USAGE: LanguageModelV4Usage = {
  inputTokens: { total: 100, noCache: 100, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 20, text: 20, reasoning: 0 },
}
const finishReason = { unified: 'stop', raw: 'stop' } as const
const PROMPT: LanguageModelV4CallOptions = { prompt: [{ role: 'user', content: [{ type: 'text', text: 'x'.repeat(4000) }] }] }

/** The same model, plain and budgeted with a durable ledger, in turn. @param folder where the ledger goes, so that it meets the disk that it would. */
export async function measureAiSdk(folder: string, calls = 2000): Promise<AiSdkFigures> {
  const ledger = mkdtempSync(join(folder, 'manciple-bench-'))
  const manciple = await openManciple({ config: { text: POLICY }, ledger })
  const onFault = (error: unknown): never => {
    throw error
  }
  const wrap = (model: LanguageModelV4): LanguageModelV4 => budgeted(model, { manciple, backend: 'claude', onFault })
  try {
    const short = modelOf(20 * DELTA.length)
    const call = await compared(calls, (model) => generateText({ model, prompt: 'x'.repeat(4000) }), short, wrap(short))
    const firstToken = await compared(calls, firstTokenOf, short, wrap(short))
    const stream = await throughputs(modelOf(10 * MEGABYTE), wrap)
    return { calls, call, first_token: firstToken, stream }
  } finally {
    await manciple.close()
    rmSync(ledger, { recursive: true, force: true })
  }
}

async function compared(calls: number, run: (model: LanguageModelV4) => Promise<unknown>, plain: LanguageModelV4, budget: LanguageModelV4): Promise<Compared> {
  const samples = { with: [] as number[], without: [] as number[] }
  for (let call = -WARM_UP; call < calls; call++) {
    const [without, within] = [await timeOf(run, plain), await timeOf(run, budget)]
    if (call < 0) continue
    samples.without.push(without)
    samples.with.push(within)
  }
  const [without, within] = [latencyOf(samples.without), latencyOf(samples.with)]
  return { without, with: within, added_p50_ms: within.p50_ms - without.p50_ms }
}

async function timeOf(run: (model: LanguageModelV4) => Promise<unknown>, model: LanguageModelV4): Promise<number> {
  const before = performance.now()
  await run(model)
  return performance.now() - before
}

async function firstTokenOf(model: LanguageModelV4): Promise<void> {
  const { stream } = await model.doStream(PROMPT)
  const reader = stream.getReader()
  while ((await reader.read()).value?.type !== 'text-delta') continue
  await reader.cancel()
}

/** The better of five turns each: a pause of the collector is not the stream's. */
async function throughputs(model: LanguageModelV4, wrap: (model: LanguageModelV4) => LanguageModelV4): Promise<AiSdkFigures['stream']> {
  const best = { without_mb_s: 0, with_mb_s: 0 }
  for (let turn = 0; turn < 5; turn++) {
    best.without_mb_s = Math.max(best.without_mb_s, await throughputOf(model))
    best.with_mb_s = Math.max(best.with_mb_s, await throughputOf(wrap(model)))
  }
  return best
}

async function throughputOf(model: LanguageModelV4): Promise<number> {
  const before = performance.now()
  const { stream } = await model.doStream(PROMPT)
  let bytes = 0
  for await (const part of stream) if (part.type === 'text-delta') bytes += part.delta.length
  return bytes / MEGABYTE / ((performance.now() - before) / 1000)
}

/** A model that answers at once, with this much text. */
function modelOf(bytes: number): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'bench',
    modelId: MODEL,
    supportedUrls: {},
    doGenerate: async () => ({ content: [{ type: 'text', text: 'x' }], finishReason, usage: USAGE, warnings: [] }),
    doStream: async () => ({ stream: textStream(bytes) }),
  }
}

function textStream(bytes: number): ReadableStream<LanguageModelV4StreamPart> {
  let left = bytes / DELTA.length
  return new ReadableStream<LanguageModelV4StreamPart>(
    {
      start(controller) {
        controller.enqueue({ type: 'stream-start', warnings: [] })
        controller.enqueue({ type: 'text-start', id: 't' })
      },
      pull(controller) {
        if (left-- > 0) {
          controller.enqueue({ type: 'text-delta', id: 't', delta: DELTA })
          return
        }
        controller.enqueue({ type: 'text-end', id: 't' })
        controller.enqueue({ type: 'finish', finishReason, usage: USAGE })
        controller.close()
      },
    },
    { highWaterMark: 0 },
  )
}

function latencyOf(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return { p50_ms: at(0.5), p99_ms: at(0.99) }
}
