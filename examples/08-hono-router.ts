// A small router: one OpenAI-compatible URL in front of several providers, under one budget. Run with `node examples/08-hono-router.ts`.
// OPENAI_API_KEY and MOONSHOT_API_KEY make it call them; without a key there is a stub on this machine. With PORT it stays, and serves.
import { serve } from '@hono/node-server'
import type { ServerType } from '@hono/node-server'
import { openManciple } from '@manciple/core'
import { startFakeProvider } from '@manciple/router-plugin/conformance'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import { Hono } from 'hono'

const stub = await startFakeProvider()
const { OPENAI_API_KEY, MOONSHOT_API_KEY, PORT } = process.env
const gpt = { url: OPENAI_API_KEY === undefined ? `${stub.url}/gpt/v1` : 'https://api.openai.com/v1', key: OPENAI_API_KEY }
const kimi = { url: MOONSHOT_API_KEY === undefined ? `${stub.url}/kimi/v1` : 'https://api.moonshot.ai/v1', key: MOONSHOT_API_KEY }

const policy = `
budgets: { daily_limit_usd: 5.00 }
backends:
  gpt: { models: [gpt-4.1] }
  kimi: { models: [kimi-k2] }
prices: { kimi-k2: { input_mtok: 0.57, output_mtok: 2.30 } }
limits: [{ name: gpt-bulk, amount: 0.001/day, backend: gpt, task_type: bulk }]
`
const manciple = await openManciple({ config: { text: policy }, ledger: 'memory' })
const budgeted = budgetedFetch(manciple, {
  // What the budget has no room for at one goes to the other.
  backends: {
    gpt: { url: gpt.url, accepts: ['openai-chat'], apiKey: gpt.key ?? 'none' },
    kimi: { url: kimi.url, accepts: ['openai-chat'], apiKey: kimi.key ?? 'none' },
  },
  failover: true,
})

const app = new Hono()
app.get('/costs', (context) => context.json(manciple.costs()))
app.post('/v1/chat/completions', async (context) => {
  const body = await context.req.json<{ model: string }>()
  const { url, key } = body.model.startsWith('kimi') ? kimi : gpt
  const headers = new Headers({ 'content-type': 'application/json', authorization: `Bearer ${key ?? 'none'}` })
  for (const [name, value] of Object.entries(context.req.header())) if (name.startsWith('x-manciple-')) headers.set(name, value)
  return budgeted(`${url}/chat/completions`, { method: 'POST', headers, body: JSON.stringify(body), signal: context.req.raw.signal })
})

const { server, port } = await new Promise<{ server: ServerType; port: number }>((resolve) => {
  const started = serve({ fetch: app.fetch, port: Number(PORT ?? 0) }, (address) => resolve({ server: started, port: address.port }))
})
for (const { taskType, stream } of [
  { taskType: 'chat', stream: false },
  { taskType: 'chat', stream: true },
  { taskType: 'bulk', stream: false },
]) {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-manciple-task-type': taskType },
    body: JSON.stringify({ model: 'gpt-4.1', stream, max_tokens: 300, messages: [{ role: 'user', content: 'What does a manciple buy?' }] }),
  })
  const text = await answer.text()
  console.log(`${taskType}: ${answer.status}, ${text.length} characters, ${answer.headers.get('x-manciple-decision')}`)
}
for (const { backend, today } of manciple.costs().backends) console.log(`${backend}: $${today.costNano / 1e9} in ${today.requests} calls`)

if (PORT === undefined) {
  server.close()
  await manciple.close()
  await stub.close()
} else console.log(`http://127.0.0.1:${port}/v1 takes calls, /costs shows what they came to`)
