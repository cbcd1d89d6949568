import type { DecideRequest, Dispatch } from '@manciple/core'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { history, MODELS, serve } from './histories.ts'
import type { History, Truth } from './histories.ts'
import { watch } from './watched.ts'
import type { Watched } from './watched.ts'

/** Of a hundred histories at the same time. */
const RUNS = 100
const SPARE = 'https://spare.test/v1'

/** Nano-USD a token: what the providers charge, and what the policy says. */
const PRICES = {
  'gpt-4.1': { input: 2000, output: 8000, read: 500, write: 2000 },
  'gpt-5': { input: 1250, output: 10_000, read: 125, write: 1250 },
  'claude-sonnet-4-20250514': { input: 3000, output: 15_000, read: 300, write: 3750 },
  'gemini-2.5-pro': { input: 1250, output: 10_000, read: 310, write: 1250 },
  'gemini-2.0-flash': { input: 100, output: 400, read: 25, write: 100 },
  'spare-1': { input: 700, output: 900, read: 70, write: 700 },
} as const

const usd = (nano: number): string => (nano / 1000).toFixed(4)
const POLICY = `budgets: { daily_limit_usd: 100000.00 }
backends:
  gpt: { models: [gpt-4.1, gpt-5] }
  claude: { models: [claude-sonnet-4-20250514] }
  gemini: { models: [gemini-2.5-pro, gemini-2.0-flash] }
  spare: { provider: openai, models: [spare-1] }
prices:
${Object.entries(PRICES)
  .map(
    ([model, { input, output, read, write }]) =>
      `  ${model}: { input_mtok: ${usd(input)}, output_mtok: ${usd(output)}, cache_read_mtok: ${usd(read)}, cache_write_mtok: ${usd(write)} }`,
  )
  .join('\n')}
`

/** What really became of one attempt. */
interface Attempt {
  readonly hold: string | undefined
  readonly model: string
  readonly truth: Truth
  readonly of: History
}

let manciple: Watched
beforeAll(async () => {
  manciple = await watch(POLICY)
})
afterAll(() => manciple.open.close())

/** Plays one history through the fetch host, as an impatient client would. */
async function play(one: History): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = []
  const holds: (string | undefined)[] = []
  let client = new Client()
  const noting = {
    ...manciple,
    async decide(request: DecideRequest): Promise<Dispatch> {
      const dispatch = await manciple.decide(request)
      holds.push(dispatch.decision.hold)
      return dispatch
    },
  }
  const provider: typeof fetch = async (url, init) => {
    const deed = one.deeds[attempts.length] ?? { does: 'serve', reports: true }
    const { answer, truth } = serve(one, deed, init?.signal ?? undefined, () => {
      client.leave(deed.does === 'lose the client' && deed.by === 'cancel')
    })
    const model = String(url).startsWith(SPARE) ? 'spare-1' : MODELS[one.format](one.reasons).model
    attempts.push({ hold: holds.at(-1), model, truth, of: one })
    return answer()
  }
  const backends = { spare: { url: SPARE, accepts: ['openai-chat', 'openai-responses', 'anthropic', 'gemini'] as const } }
  const send = budgetedFetch(noting, { failover: one.failover, backends, fetch: provider })
  const { url, body } = MODELS[one.format](one.reasons)
  const target = one.format === 'gemini' ? `${url}:${one.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}` : url
  const text = JSON.stringify(one.format === 'gemini' ? body : { ...body, stream: one.stream })
  for (let tries = 0; tries <= one.deeds.length; tries++) {
    client = new Client()
    if (await client.reads(send(target, { method: 'POST', body: text, signal: client.signal }))) break
  }
  return attempts
}

/** Reads an answer to its end, unless it is told to leave: by its signal, or by cancelling what it reads. */
class Client {
  readonly #leaving = new AbortController()
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  get signal(): AbortSignal {
    return this.#leaving.signal
  }

  leave(byCancel: boolean): void {
    if (byCancel && this.#reader !== undefined) void this.#reader.cancel()
    else this.#leaving.abort()
  }

  /** @returns whether a whole answer came. */
  async reads(call: Promise<Response>): Promise<boolean> {
    try {
      const response = await call
      this.#reader = response.body?.getReader()
      let done = this.#reader === undefined
      while (!done) done = (await this.#reader?.read())?.done ?? true
      return response.ok
    } catch {
      return false
    }
  }
}

/** What the provider charges: by its report, or for what it had worked on. */
function costOf({ model, truth, of: { usage } }: Attempt): number {
  if (truth.input === 0) return 0
  const price = PRICES[model as keyof typeof PRICES]
  const { inputTokens, cacheReadTokens, cacheWriteTokens } = usage
  const input = (inputTokens - cacheReadTokens - cacheWriteTokens) * price.input + cacheReadTokens * price.read + cacheWriteTokens * price.write
  return input + truth.output * price.output
}

const nanoOf = (costUsd: number): number => Math.round(costUsd * 1e9)

test('10,000 random histories: the books equal what the providers reported, to the nano, and are never below what they served', async () => {
  let histories = 0
  const total = { reported: 0, truth: 0, attempts: 0, entries: 0 }
  await fc.assert(
    fc.asyncProperty(fc.array(history, { minLength: 100, maxLength: 100 }), async (batch) => {
      const attempts = (await Promise.all(batch.map(play))).flat()
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      const entries = new Map(manciple.entries.map((entry) => [entry.id, entry]))
      expect(entries.size).toBe(manciple.entries.length)
      for (const attempt of attempts) {
        const entry = entries.get(attempt.hold ?? '')
        const truth = costOf(attempt)
        const booked = entry === undefined ? 0 : nanoOf(entry.cost_usd)
        if (attempt.truth.reported) expect(booked, JSON.stringify([attempt, entry])).toBe(truth)
        else expect(booked, JSON.stringify([attempt, entry])).toBeGreaterThanOrEqual(truth)
        if (attempt.truth.reported) {
          total.reported += booked
          total.truth += truth
        }
      }
      const holds = new Set(attempts.map(({ hold }) => hold))
      for (const entry of manciple.entries) expect(holds.has(entry.id), 'nothing is billed that no provider saw').toBe(true)
      const day = manciple.open.budget().limits.find(({ limit }) => limit === 'all.day')
      expect(day?.held).toBe(0)
      histories += batch.length
      total.attempts += attempts.length
      total.entries += manciple.entries.length
      manciple.entries.length = 0
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  expect(histories).toBe(10_000)
  expect(total.reported).toBe(total.truth)
  expect(total.entries).toBeGreaterThan(9000)
  expect(manciple.open.costs().today.costNano).toBeGreaterThan(total.truth)
})
