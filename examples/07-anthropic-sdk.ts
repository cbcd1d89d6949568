// Anthropic's own SDK under a budget: only its `fetch` changes. Run with `node examples/07-anthropic-sdk.ts`.
// ANTHROPIC_API_KEY makes it talk to Claude; without it there is a stub on this machine.
import Anthropic from '@anthropic-ai/sdk'
import { openManciple } from '@manciple/core'
import { startFakeProvider } from '@manciple/router-plugin/conformance'
import { budgetedFetch } from '@manciple/router-plugin/fetch'

const stub = await startFakeProvider()
const { ANTHROPIC_API_KEY } = process.env
const baseURL = ANTHROPIC_API_KEY === undefined ? stub.url : 'https://api.anthropic.com'

const manciple = await openManciple({ config: { text: 'budgets: { daily_limit_usd: 5.00 }' }, ledger: 'memory' })
const task = { taskId: 'issue-94', taskType: 'reasoning' }
const anthropic = new Anthropic({
  apiKey: ANTHROPIC_API_KEY ?? 'none',
  baseURL,
  fetch: budgetedFetch(manciple, { backends: { claude: { url: baseURL } }, task }),
})

const stream = anthropic.messages.stream({
  model: 'claude-sonnet-4-20250514',
  max_tokens: 300,
  messages: [{ role: 'user', content: 'What does a manciple buy?' }],
})
stream.on('text', (text) => process.stdout.write(text))
const { usage } = await stream.finalMessage()
console.log(`\nAnthropic counted ${usage.input_tokens} + ${usage.output_tokens} tokens`)

const [spend] = manciple.costs().backends
console.log(`${spend?.backend}: $${(spend?.today.costNano ?? 0) / 1e9} today`)
await manciple.close()
await stub.close()
