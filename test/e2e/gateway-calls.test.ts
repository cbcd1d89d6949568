import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Mode } from '../../demo/src/upstreams.ts'
import { ask, entryOf, journal, ofType, openHolds, removeFolder, ROOMY, stageFor, until } from './support.ts'
import type { TestStage } from './support.ts'

let stage: TestStage

beforeAll(async () => {
  stage = await stageFor(ROOMY, { latencyMs: 25, callTimeoutMs: 1500 })
})

afterAll(async () => {
  await stage.close()
  removeFolder(stage.folder)
})

afterEach(() => {
  for (const upstream of stage.upstreams.values()) upstream.behave('up')
})

function behave(backend: string, mode: Mode): void {
  stage.upstreams.get(backend)?.behave(mode)
}

const task = (id: string, type = 'test'): Record<string, string> => ({ 'x-manciple-task-id': id, 'x-manciple-task-type': type })

test('a plain call is an entry with the nine fields in their order, at list price', async () => {
  const response = await ask(stage, { headers: task('plain', 'reasoning'), usage: { prompt_tokens: 1500, completion_tokens: 400 } })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ usage: { prompt_tokens: 1500, completion_tokens: 400 }, choices: [{ finish_reason: 'stop' }] })
  const entry = await entryOf(stage.ledger, 'plain')
  const brief = ['timestamp', 'backend', 'model', 'prompt_tokens', 'completion_tokens', 'cost_usd', 'task_id', 'task_type', 'duration_ms']
  expect(Object.keys(entry).filter((key) => brief.includes(key))).toEqual(brief)
  expect(entry).toMatchObject({
    backend: 'claude',
    model: 'claude-sonnet-4-20250514',
    prompt_tokens: 1500,
    completion_tokens: 400,
    cost_usd: 0.0105,
    task_type: 'reasoning',
    requested_backend: 'claude',
    status: 'ok',
    usage_source: 'reported',
  })
  expect(entry['duration_ms']).toBeGreaterThanOrEqual(20)
})

test('a streamed call is billed by its own usage, cached and reasoning tokens included', async () => {
  const usage = { prompt_tokens: 2000, completion_tokens: 300, cached_tokens: 1000, reasoning_tokens: 100 }
  const response = await ask(stage, { model: 'gpt', stream: true, headers: task('streamed'), usage })
  expect((await response.text()).trimEnd()).toMatch(/data: \[DONE\]$/)
  expect(await entryOf(stage.ledger, 'streamed')).toMatchObject({
    backend: 'gpt',
    prompt_tokens: 2000,
    completion_tokens: 300,
    cache_read_tokens: 1000,
    reasoning_tokens: 100,
    // 1000 × 1.25 + 1000 × 0.125 + 300 × 10 USD per million
    cost_usd: 0.004375,
    usage_source: 'reported',
  })
})

test('the bound that the hold pays for reaches the provider', async () => {
  const response = await ask(stage, { headers: task('bounded'), usage: { prompt_tokens: 100, completion_tokens: 900 }, maxTokens: 300 })
  expect(await response.json()).toMatchObject({ usage: { completion_tokens: 300 }, choices: [{ finish_reason: 'length' }] })
  expect(await entryOf(stage.ledger, 'bounded')).toMatchObject({ completion_tokens: 300 })
})

test.each(['down', 'refuse'] as const)('an upstream that is %s costs nothing; the call is billed once, to the backend that answered', async (mode) => {
  behave('claude', mode)
  const before = stage.upstreams.get('gpt')?.served.calls ?? 0
  const [plain, streamed] = await Promise.all([ask(stage, { headers: task(`plain-${mode}`) }), ask(stage, { stream: true, headers: task(`stream-${mode}`) })])
  expect([plain.status, streamed.status]).toEqual([200, 200])
  await Promise.all([plain.text(), streamed.text()])
  for (const id of [`plain-${mode}`, `stream-${mode}`]) {
    expect(await entryOf(stage.ledger, id)).toMatchObject({ backend: 'gpt', status: 'ok', usage_source: 'reported' })
  }
  expect(stage.upstreams.get('gpt')?.served.calls).toBe(before + 2)
  expect(ofType(journal(stage.ledger), 'release').length).toBeGreaterThanOrEqual(2)
})

test('when every upstream is down the client is told, and nothing is billed', async () => {
  for (const backend of stage.upstreams.keys()) behave(backend, 'down')
  const response = await ask(stage, { headers: task('nobody') })
  expect(response.status).toBeGreaterThanOrEqual(500)
  await response.text()
  expect(ofType(journal(stage.ledger), 'settle').filter((line) => line['task_id'] === 'nobody')).toEqual([])
  await until(stage.ledger, (lines) => openHolds(lines).length === 0)
})

test('a client that goes away in the middle of a stream is billed for what the provider served', async () => {
  const controller = new AbortController()
  const usage = { prompt_tokens: 400, completion_tokens: 200 }
  const response = await ask(stage, { stream: true, headers: task('aborted'), usage, signal: controller.signal })
  await response.body?.getReader().read()
  controller.abort()
  expect(await entryOf(stage.ledger, 'aborted')).toMatchObject({ prompt_tokens: 400, completion_tokens: 200, usage_source: 'reported' })
})

test.each([
  { stream: false, source: 'hold', output: 256 },
  { stream: true, source: 'partial', output: 80 },
])('an answer without a usage is billed by its hold, a stream by what it wrote if that is less: $stream', async ({ stream, source, output }) => {
  behave('claude', 'mute')
  const id = `mute-${stream}`
  const response = await ask(stage, { stream, headers: task(id), maxTokens: 256, usage: { prompt_tokens: 1000 } })
  await response.text()
  const entry = await entryOf(stage.ledger, id)
  expect(entry).toMatchObject({ prompt_tokens: 1000, completion_tokens: output, usage_source: source, status: 'ok' })
  // At least the 1,000 and 20 tokens that were served, at 3 and 15 USD per million.
  expect(entry['cost_usd']).toBeGreaterThanOrEqual(0.0033)
})

test('a stream of which nothing more is heard is settled when its time is over', async () => {
  behave('claude', 'endless')
  const controller = new AbortController()
  const response = await ask(stage, { stream: true, headers: task('endless'), usage: { prompt_tokens: 300, completion_tokens: 50 }, signal: controller.signal })
  expect(response.status).toBe(200)
  const entry = await entryOf(stage.ledger, 'endless')
  controller.abort()
  expect(entry).toMatchObject({ prompt_tokens: 300, completion_tokens: 50, status: 'expired', usage_source: 'partial' })
})

test('a plain answer that breaks off may have been served: it is billed by its hold, and tried elsewhere', async () => {
  behave('claude', 'cut')
  const response = await ask(stage, { headers: task('broken'), usage: { prompt_tokens: 700 } })
  expect(response.status).toBe(200)
  await response.text()
  const lines = await until(stage.ledger, (all) => ofType(all, 'settle').filter((line) => line['task_id'] === 'broken').length === 2)
  expect(ofType(lines, 'settle').filter((line) => line['task_id'] === 'broken')).toMatchObject([
    { backend: 'claude', status: 'error', usage_source: 'hold', prompt_tokens: 700 },
    { backend: 'gpt', status: 'ok', usage_source: 'reported' },
  ])
})

test('calls with one request id are billed each once', async () => {
  const headers = { ...task('twin'), 'x-request-id': 'the-same' }
  const responses = await Promise.all([ask(stage, { headers }), ask(stage, { headers })])
  await Promise.all(responses.map((response) => response.text()))
  const lines = await until(stage.ledger, (all) => ofType(all, 'settle').filter((line) => line['task_id'] === 'twin').length >= 2)
  await sleep(100)
  expect(ofType(lines, 'settle').filter((line) => line['task_id'] === 'twin')).toHaveLength(2)
})

test('a request is refused with a code when its model is unknown, its bound malformed, or its input has none', async () => {
  const image = [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }]
  const answers = await Promise.all([
    ask(stage, { model: 'claud' }),
    ask(stage, { headers: { 'x-manciple-input-tokens': '-5' } }),
    ask(stage, { maxTokens: -1 }),
    fetch(`${stage.gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'claude', messages: [{ role: 'user', content: image }] }),
    }),
  ])
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400])
  const codes = await Promise.all(answers.map(async (answer) => (await answer.json()) as { error: { code: string } }))
  expect(codes.map(({ error }) => error.code)).toEqual(['MODEL_UNKNOWN', 'HEADER_INVALID', 'REQUEST_INVALID', 'INPUT_UNBOUNDED'])
})

test('after all of that no hold is open, and each hold has ended once', async () => {
  const lines = await until(stage.ledger, (all) => openHolds(all).length === 0)
  const ends = lines.filter(({ type }) => type === 'settle' || type === 'release').map(({ id }) => id)
  expect(new Set(ends).size).toBe(ends.length)
})
