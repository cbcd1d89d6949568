import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { openManciple } from '@manciple/core'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import OpenAI from 'openai'
import { measureAiSdk } from './ai-sdk.bench.ts'
import type { AiSdkFigures } from './ai-sdk.bench.ts'
import { measureGateway } from './gateway.bench.ts'
import type { GatewayFigures } from './gateway.bench.ts'
import { overhead, throughput } from './overhead.ts'
import type { Overhead, Throughput } from './overhead.ts'

export interface HostFigures {
  /** A plain call by OpenAI's SDK; the ledger is on disk and synced. */
  readonly fetch_call: Overhead
  /** To the first token of a stream, from when its headers have come: what the metering of a stream adds. The decision and its wait for the disk are before. */
  readonly stream_first_token_ledger_in_memory: Overhead
  /** The same while the entry of the call before is being synced. */
  readonly stream_first_token_ledger_on_disk: Overhead
  /** A stream of 10 MB from when its headers have come: read to its end by OpenAI's SDK, and as bare bytes by nobody who parses them. */
  readonly stream_10mb: { readonly by_sdk: Throughput; readonly as_bare_bytes: Throughput }
  readonly ai_sdk: AiSdkFigures
  readonly gateway: GatewayFigures
}

const POLICY = `budgets: { daily_limit_usd: 100000.00 }
backends: { gpt: { models: [gpt-4.1] } }
`
const STREAM_MB = 10
const DELTA = 'bread and malt '

/** Measures each host with and without Manciple, in turn, in front of a provider in a thread of its own. */
export async function measureHosts(calls = 1000): Promise<HostFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'manciple-hosts-'))
  const manciple = await openManciple({ config: { text: POLICY }, ledger: join(folder, 'ledger') })
  const inMemory = await openManciple({ config: { text: POLICY }, ledger: 'memory' })
  const provider = new Worker(new URL(import.meta.url), { execArgv: ['--conditions=manciple-source', '--no-warnings'] })
  const [url] = (await once(provider, 'message')) as [string]
  try {
    const metered = budgetedFetch(manciple, { backends: { gpt: { url } } })
    const unsynced = budgetedFetch(inMemory, { backends: { gpt: { url } } })
    const clients = [fetch, metered].map((send) => new OpenAI({ apiKey: 'fake', baseURL: url, fetch: send }))
    const [bare, budgeted] = clients
    if (bare === undefined || budgeted === undefined) throw new Error('two clients')
    return {
      fetch_call: await overhead(calls, [() => timeCall(bare), () => timeCall(budgeted)]),
      stream_first_token_ledger_in_memory: await overhead(calls, [() => timeToFirst(fetch, url), () => timeToFirst(unsynced, url)]),
      stream_first_token_ledger_on_disk: await overhead(calls, [() => timeToFirst(fetch, url), () => timeToFirst(metered, url)]),
      stream_10mb: {
        by_sdk: await throughput([() => readAll(bare), () => readAll(budgeted)]),
        as_bare_bytes: await throughput([() => readBytes(fetch, url), () => readBytes(metered, url)]),
      },
      ai_sdk: await measureAiSdk('.', calls),
      gateway: await measureGateway(calls),
    }
  } finally {
    await provider.terminate()
    await Promise.all([manciple.close(), inMemory.close()])
    rmSync(folder, { recursive: true, force: true })
  }
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
  const stream = await client.chat.completions.create({ ...ASK, stream: true, user: 'long' })
  const before = performance.now()
  let bytes = 0
  for await (const chunk of stream) bytes += chunk.choices[0]?.delta.content?.length ?? 0
  if (bytes === 0) throw new Error('nothing was streamed')
  return rate(before)
}

async function readBytes(send: typeof fetch, url: string): Promise<number> {
  const response = await send(`${url}/chat/completions`, { method: 'POST', body: JSON.stringify({ ...ASK, stream: true, user: 'long' }) })
  const before = performance.now()
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
