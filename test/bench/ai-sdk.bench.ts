import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider'
import { openManciple } from '@manciple/core'
import { budgeted } from '@manciple/router-plugin/ai-sdk'
import { generateText, streamText } from 'ai'
import { overhead, throughput } from './overhead.ts'
import type { Overhead, Throughput } from './overhead.ts'

export interface AiSdkFigures {
  /** `generateText` of a model that answers at once. In memory the ledger waits for no disk: that is what the adapter itself adds. */
  readonly call_ledger_in_memory: Overhead
  readonly call_ledger_on_disk: Overhead
  /** From the call of `doStream` to the first token, of a model that begins at once. What the adapter adds … */
  readonly first_token_ledger_in_memory: Overhead
  /** … and with the wait for the hold to be on disk, before which nothing goes out. */
  readonly first_token_ledger_on_disk: Overhead
  /** 10 MB of text as fast as it is read from `streamText`, as a program would. */
  readonly stream_10mb_by_stream_text: Streams
  /** The same from the bare model, which costs nothing: with the one stream that has to be put around it, per part. */
  readonly stream_10mb_of_bare_model: Streams
}

interface Streams {
  readonly deltas_of_64_bytes: Parts
  readonly deltas_of_1_kb: Parts
}

interface Parts extends Throughput {
  readonly added_ns_per_part: number
}

const MODEL = 'claude-sonnet-4-20250514'
const POLICY = `budgets: { daily_limit_usd: 1000000.00 }
backends:
  claude: { models: [${MODEL}] }
`
const MEGABYTE = 1_000_000
const ROUNDS = 5

const USAGE: LanguageModelV4Usage = {
  inputTokens: { total: 100, noCache: 100, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 20, text: 20, reasoning: 0 },
}
const finishReason = { unified: 'stop', raw: 'stop' } as const
const PROMPT: LanguageModelV4CallOptions = { prompt: [{ role: 'user', content: [{ type: 'text', text: 'x'.repeat(4000) }] }] }

type Wrap = (model: LanguageModelV4) => LanguageModelV4
type Read = (model: LanguageModelV4) => Promise<number>

/** The same model, plain and budgeted, in turn. @param folder where the ledger goes, so that it meets the disk that it would. */
export async function measureAiSdk(folder: string, calls = 2000): Promise<AiSdkFigures> {
  const ledger = mkdtempSync(join(folder, 'manciple-bench-'))
  const [onDisk, inMemory] = await Promise.all([ledger, 'memory' as const].map((place) => openManciple({ config: { text: POLICY }, ledger: place })))
  if (onDisk === undefined || inMemory === undefined) throw new Error('two ledgers')
  const [disk, memory] = [onDisk, inMemory].map(
    (manciple): Wrap =>
      (model) =>
        budgeted(model, { manciple, backend: 'claude', onFault: rethrow }),
  )
  if (disk === undefined || memory === undefined) throw new Error('two ways to wrap')
  const short = modelOf(20 * 64, 64)
  const compare = (time: Read, wrap: Wrap): Promise<Overhead> => overhead(calls, [() => time(short), () => time(wrap(short))])
  try {
    return {
      call_ledger_in_memory: await compare(timeCall, memory),
      call_ledger_on_disk: await compare(timeCall, disk),
      first_token_ledger_in_memory: await compare(timeToFirst, memory),
      first_token_ledger_on_disk: await compare(timeToFirst, disk),
      stream_10mb_by_stream_text: await streams(readStreamText, memory),
      stream_10mb_of_bare_model: await streams(readModel, memory),
    }
  } finally {
    await Promise.all([onDisk.close(), inMemory.close()])
    rmSync(ledger, { recursive: true, force: true })
  }
}

function rethrow(error: unknown): never {
  throw error
}

async function timeCall(model: LanguageModelV4): Promise<number> {
  const before = performance.now()
  await generateText({ model, prompt: 'x'.repeat(4000) })
  return performance.now() - before
}

async function timeToFirst(model: LanguageModelV4): Promise<number> {
  const before = performance.now()
  const { stream } = await model.doStream(PROMPT)
  const reader = stream.getReader()
  while ((await reader.read()).value?.type !== 'text-delta') continue
  const took = performance.now() - before
  await reader.cancel()
  return took
}

async function streams(read: Read, wrap: Wrap): Promise<Streams> {
  return { deltas_of_64_bytes: await partsOf(64, read, wrap), deltas_of_1_kb: await partsOf(1024, read, wrap) }
}

async function partsOf(bytes: number, read: Read, wrap: Wrap): Promise<Parts> {
  const model = modelOf(10 * MEGABYTE, bytes)
  const found = await throughput([() => read(model), () => read(wrap(model))], ROUNDS)
  const nsPerPart = (mbPerSecond: number): number => (bytes / mbPerSecond) * 1000
  return { ...found, added_ns_per_part: nsPerPart(found.with_mb_s) - nsPerPart(found.without_mb_s) }
}

/** MB a second. */
async function readModel(model: LanguageModelV4): Promise<number> {
  const { stream } = await model.doStream(PROMPT)
  const before = performance.now()
  let bytes = 0
  for await (const part of stream) if (part.type === 'text-delta') bytes += part.delta.length
  return rate(bytes, before)
}

async function readStreamText(model: LanguageModelV4): Promise<number> {
  const before = performance.now()
  let bytes = 0
  for await (const text of streamText({ model, prompt: 'x' }).textStream) bytes += text.length
  return rate(bytes, before)
}

function rate(bytes: number, beforeMs: number): number {
  return bytes / MEGABYTE / ((performance.now() - beforeMs) / 1000)
}

/** A model that answers at once, with this much text, in deltas of one size. */
function modelOf(bytes: number, deltaBytes: number): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'bench',
    modelId: MODEL,
    supportedUrls: {},
    doGenerate: async () => ({ content: [{ type: 'text', text: 'x' }], finishReason, usage: USAGE, warnings: [] }),
    doStream: async () => ({ stream: textStream(bytes, deltaBytes) }),
  }
}

function textStream(bytes: number, deltaBytes: number): ReadableStream<LanguageModelV4StreamPart> {
  const delta = 'x'.repeat(deltaBytes)
  let left = Math.ceil(bytes / deltaBytes)
  return new ReadableStream<LanguageModelV4StreamPart>(
    {
      start(controller) {
        controller.enqueue({ type: 'stream-start', warnings: [] })
        controller.enqueue({ type: 'text-start', id: 't' })
      },
      pull(controller) {
        if (left-- > 0) {
          controller.enqueue({ type: 'text-delta', id: 't', delta })
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
