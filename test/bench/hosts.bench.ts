import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { openManciple } from '@manciple/core'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import OpenAI from 'openai'
import { measureGateway } from './gateway.bench.ts'
import type { GatewayFigures } from './gateway.bench.ts'

interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
}

/** The same with Manciple and without, in turn. */
export interface Overhead {
  readonly calls: number
  readonly without: Latency
  readonly with: Latency
  readonly added_p50_ms: number
  readonly added_p99_ms: number
}

export interface HostFigures {
  /** A plain call by OpenAI's SDK; the ledger is on disk and synced. */
  readonly fetch_call: Overhead
  /** The same, to the first token of a stream, from when its headers have come: what the metering of a stream adds. */
  readonly stream_first_token: Overhead
  /** A stream of 10 MB, read to its end by OpenAI's SDK, and as bare bytes by nobody who parses them. */
  readonly stream_10mb: { readonly sdk: Throughput; readonly bytes: Throughput }
  readonly gateway: GatewayFigures
}

interface Throughput {
  readonly without_mb_s: number
  readonly with_mb_s: number
  readonly share: number
}

const POLICY = `budgets: { daily_limit_usd: 100000.00 }
backends: { gpt: { models: [gpt-4.1] } }
`
const STREAM_MB = 10
const DELTA = 'bread and malt '
const WARM_UP = 100

/** Measures each host with and without Manciple, in turn, in front of a provider in a thread of its own. */
export async function measureHosts(calls = 1000): Promise<HostFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-hosts-'))
  const manciple = await openManciple({ config: { text: POLICY }, ledger: join(folder, 'ledger') })
  const provider = new Worker(new URL(import.meta.url), { execArgv: ['--conditions=manciple-source', '--no-warnings'] })
  const [url] = (await once(provider, 'message')) as [string]
  try {
    const metered = budgetedFetch(manciple, { backends: { gpt: { url } } })
    const clients = [fetch, metered].map((send) => new OpenAI({ apiKey: 'fake', baseURL: url, fetch: send }))
    const [bare, budgeted] = clients
    if (bare === undefined || budgeted === undefined) throw new Error('two clients')
    return {
      fetch_call: await overhead(calls, [() => timeCall(bare), () => timeCall(budgeted)]),
      stream_first_token: await overhead(calls, [() => timeToFirst(fetch, url), () => timeToFirst(metered, url)]),
      stream_10mb: {
        sdk: await throughput([() => readAll(bare), () => readAll(budgeted)]),
        bytes: await throughput([() => readBytes(fetch, url), () => readBytes(metered, url)]),
      },
      gateway: await measureGateway(calls),
    }
  } finally {
    await provider.terminate()
    await manciple.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Two ways of the same, in turn and in turns of who is first: without, with. */
export async function overhead(calls: number, [without, plugged]: readonly [() => Promise<number>, () => Promise<number>]): Promise<Overhead> {
  const samples = { without: [] as number[], with: [] as number[] }
  for (let call = -WARM_UP; call < calls; call++) {
    const order = call % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)
    for (const way of order) {
      const took = await (way === 'with' ? plugged : without)()
      if (call >= 0) samples[way].push(took)
    }
  }
  const [plain, metered] = [latencyOf(samples.without), latencyOf(samples.with)]
  return { calls, without: plain, with: metered, added_p50_ms: metered.p50_ms - plain.p50_ms, added_p99_ms: metered.p99_ms - plain.p99_ms }
}

async function throughput([without, plugged]: readonly [() => Promise<number>, () => Promise<number>]): Promise<Throughput> {
  const best = { without: 0, with: 0 }
  for (let round = 0; round < 12; round++) {
    for (const way of round % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)) {
      best[way] = Math.max(best[way], await (way === 'with' ? plugged : without)())
    }
  }
  return { without_mb_s: best.without, with_mb_s: best.with, share: best.with / best.without }
}

function latencyOf(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return { p50_ms: at(0.5), p99_ms: at(0.99) }
}

const ASK = { model: 'gpt-4.1', max_completion_tokens: 200, messages: [{ role: 'user' as const, content: 'What does a manciple buy?' }] }

async function timeCall(client: OpenAI): Promise<number> {
  const before = performance.now()
  await client.chat.completions.create(ASK)
  return performance.now() - before
}

/** From the headers on: the decision before them is in `fetch_call`. */
async function timeToFirst(send: typeof fetch, url: string): Promise<number> {
  const body = JSON.stringify({ ...ASK, stream: true, user: 'short' })
  const response = await send(`${url}/chat/completions`, { method: 'POST', body })
  const before = performance.now()
  const reader = response.body?.getReader()
  await reader?.read()
  const took = performance.now() - before
  while ((await reader?.read())?.done === false);
  return took
}

/** MB a second. */
async function readAll(client: OpenAI): Promise<number> {
  const before = performance.now()
  let bytes = 0
  for await (const chunk of await client.chat.completions.create({ ...ASK, stream: true, user: 'long' })) bytes += chunk.choices[0]?.delta.content?.length ?? 0
  if (bytes === 0) throw new Error('nothing was streamed')
  return rate(before)
}

async function readBytes(send: typeof fetch, url: string): Promise<number> {
  const before = performance.now()
  const response = await send(`${url}/chat/completions`, { method: 'POST', body: JSON.stringify({ ...ASK, stream: true, user: 'long' }) })
  const reader = response.body?.getReader()
  while ((await reader?.read())?.done === false);
  return rate(before)
}

function rate(beforeMs: number): number {
  return STREAM_MB / ((performance.now() - beforeMs) / 1000)
}

/** The provider: answers at once; a stream is short or of 10 MB, as `user` says. */
function serve(): void {
  const event = (fields: object): string =>
    `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_760_000_000, model: 'gpt-4.1', service_tier: 'default', ...fields })}\n\n`
  const part = event({ choices: [{ index: 0, delta: { content: DELTA }, logprobs: null, finish_reason: null }], usage: null })
  const block = Buffer.from(part.repeat(Math.ceil(65_536 / part.length)))
  const usage = { prompt_tokens: 20, completion_tokens: 40, total_tokens: 60 }
  const tail = `${event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}${event({ choices: [], usage })}data: [DONE]\n\n`
  const plain = JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'gpt-4.1',
    choices: [{ index: 0, message: { role: 'assistant', content: DELTA } }],
    usage,
  })
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      if (!body.includes('"stream":true')) {
        response.writeHead(200, { 'content-type': 'application/json' }).end(plain)
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      if (body.includes('"short"')) {
        response.flushHeaders()
        setTimeout(() => response.end(`${part}${tail}`), 2)
        return
      }
      let left = STREAM_MB * 1_000_000
      const more = (): void => {
        while (left > 0) {
          left -= block.length
          if (!response.write(block)) {
            response.once('drain', more)
            return
          }
        }
        response.end(tail)
      }
      more()
    })
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (typeof address === 'object' && address !== null) parentPort?.postMessage(`http://127.0.0.1:${address.port}/v1`)
  })
}

if (!isMainThread) serve()
