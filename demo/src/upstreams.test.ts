import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startUpstream } from './upstreams.ts'
import type { Upstream } from './upstreams.ts'

let stub: Upstream

beforeAll(async () => {
  stub = await startUpstream({ name: 'claude', latencyMs: 1 })
})
afterAll(() => stub.close())
beforeEach(() => {
  stub.behave('up')
})

const wanted = { prompt_tokens: 300, completion_tokens: 40, cached_tokens: 100, reasoning_tokens: 30 }

function ask(body: object): Promise<Response> {
  const messages = [{ role: 'user', content: JSON.stringify(wanted) }]
  return fetch(`${stub.url}/chat/completions`, { method: 'POST', body: JSON.stringify({ model: 'm', messages, ...body }) })
}

test('a plain answer reports exactly the usage that was asked for, and counts it as served', async () => {
  const before = { ...stub.served }
  expect(await (await ask({ max_tokens: 100 })).json()).toMatchObject({
    choices: [{ finish_reason: 'stop' }],
    usage: {
      prompt_tokens: 300,
      completion_tokens: 40,
      total_tokens: 340,
      prompt_tokens_details: { cached_tokens: 100 },
      completion_tokens_details: { reasoning_tokens: 30 },
    },
  })
  expect(stub.served).toEqual({
    calls: before.calls + 1,
    promptTokens: before.promptTokens + 300,
    completionTokens: before.completionTokens + 40,
    failures: before.failures,
  })
})

test.each(['max_tokens', 'max_completion_tokens'])('an answer is never longer than %s', async (field) => {
  expect(await (await ask({ [field]: 7 })).json()).toMatchObject({
    choices: [{ finish_reason: 'length' }],
    usage: { completion_tokens: 7, completion_tokens_details: { reasoning_tokens: 7 } },
  })
})

test('a stream ends with its usage and [DONE]', async () => {
  const lines = (await (await ask({ stream: true })).text()).split('\n').filter((line) => line !== '')
  expect(lines.at(-1)).toBe('data: [DONE]')
  expect(JSON.parse(lines.at(-2)?.slice(6) ?? '')).toMatchObject({ choices: [], usage: { prompt_tokens: 300, completion_tokens: 40 } })
})

test('it fails on request, by HTTP too, and what failed is not served', async () => {
  const before = stub.served.calls
  const outage = await fetch(stub.url.replace('/v1', '/__outage'), { method: 'POST', body: '{"mode":"down"}' })
  expect(await outage.json()).toMatchObject({ mode: 'down' })
  expect((await ask({})).status).toBe(503)
  stub.behave('refuse')
  await expect(ask({})).rejects.toThrow()
  stub.behave('cut')
  await expect(ask({ stream: true }).then((response) => response.text())).rejects.toThrow()
  expect(stub.served.calls).toBe(before + 1)
})

test('a prompt of a user’s own gets an answer, too', async () => {
  const messages = [{ role: 'user', content: 'Good day' }]
  expect(await (await ask({ messages })).json()).toMatchObject({ usage: { prompt_tokens: 10, completion_tokens: 60 } })
})
