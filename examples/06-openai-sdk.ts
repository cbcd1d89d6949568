// OpenAI's own SDK under a budget: only its `fetch` changes. Run with `node examples/06-openai-sdk.ts`.
// OPENAI_API_KEY makes it talk to OpenAI; without it there is a stub on this machine.
import { openManciple } from '@manciple/core'
import { startFakeProvider } from '@manciple/router-plugin/conformance'
import { budgetedFetch } from '@manciple/router-plugin/fetch'
import OpenAI from 'openai'

const stub = await startFakeProvider()
const { OPENAI_API_KEY } = process.env
const baseURL = OPENAI_API_KEY === undefined ? `${stub.url}/v1` : 'https://api.openai.com/v1'

const policy = `
backends: { gpt: { provider: openai, models: [gpt-4.1] } }
limits: [{ name: bulk, amount: 0.001/day, task_type: bulk }]
`
const manciple = await openManciple({ config: { text: policy }, ledger: 'memory' })
const openai = new OpenAI({ apiKey: OPENAI_API_KEY ?? 'none', baseURL, fetch: budgetedFetch(manciple, { backends: { gpt: { url: baseURL } } }) })
const request = { model: 'gpt-4.1', max_tokens: 300, messages: [{ role: 'user' as const, content: 'What does a manciple buy?' }] }

const { data, response } = await openai.chat.completions.create(request).withResponse()
console.log(data.choices[0]?.message.content)
console.log(response.headers.get('x-manciple-decision'))

for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
console.log(`\n$${manciple.costs().today.costNano / 1e9} today in ${manciple.costs().today.requests} calls`)

try {
  await openai.chat.completions.create(request, { headers: { 'x-manciple-task-type': 'bulk' } })
} catch (error) {
  // As OpenAI says that a quota is used up, so that code which knows that needs to learn nothing.
  if (error instanceof OpenAI.RateLimitError) console.log(`refused: ${error.message}`)
  else throw error
}
await manciple.close()
await stub.close()
