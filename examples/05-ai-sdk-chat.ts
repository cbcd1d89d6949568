// A chat through the AI SDK: each turn is decided, billed, and says where it went. Run with `node examples/05-ai-sdk-chat.ts`.
// ANTHROPIC_API_KEY makes it talk to Claude and OLLAMA_MODEL to a model in Ollama; without them there are stubs on this machine.
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { openManciple } from '@manciple/core'
import { mancipleRouter } from '@manciple/router-plugin/ai-sdk'
import { startFakeProvider } from '@manciple/router-plugin/conformance'
import { streamText } from 'ai'
import type { ModelMessage } from 'ai'

const stub = await startFakeProvider()
const { ANTHROPIC_API_KEY, OLLAMA_MODEL } = process.env
const anthropic = createAnthropic(ANTHROPIC_API_KEY === undefined ? { baseURL: `${stub.url}/v1`, apiKey: 'none' } : {})
const ollama = createOpenAICompatible({ name: 'ollama', baseURL: `${OLLAMA_MODEL === undefined ? stub.url : 'http://localhost:11434'}/v1`, includeUsage: true })

const manciple = await openManciple({ config: { text: 'budgets: { daily_limit_usd: 0.01 }' }, ledger: 'memory' })
const model = mancipleRouter({
  manciple,
  backends: { claude: anthropic('claude-sonnet-4-20250514'), local: ollama(OLLAMA_MODEL ?? 'llama3.1:8b') },
  abilities: { local: { tools: false, maxOutputTokens: 200 } },
  task: { backend: 'claude', taskType: 'chat' },
})

const messages: ModelMessage[] = []
for (const question of ['What does a manciple buy?', 'Who pays for it?', 'And when the purse is empty?']) {
  messages.push({ role: 'user', content: question })
  const result = streamText({ model, messages, maxOutputTokens: 256, providerOptions: { manciple: { taskId: 'chat-1' } } })
  process.stdout.write(`> ${question}\n`)
  for await (const text of result.textStream) process.stdout.write(text)
  messages.push({ role: 'assistant', content: await result.text })
  const { manciple: decision } = (await result.finalStep).providerMetadata ?? {}
  console.log(`\n[${decision?.['backend']}/${decision?.['model']}, degraded: ${decision?.['degraded']}] $${manciple.costs().today.costNano / 1e9} today\n`)
}

await manciple.close()
await stub.close()
